"""How processes meet: what is refused before they try, and what is said when they do not."""

import contextlib
import os
import socket


def check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Refuses what cannot be how processes meet; see `processes.join`."""
    if coordinator is None or processes is None or process is None:
        raise ValueError(
            "--coordinator, --processes and --process come together, or none of them with "
            "--distributed"
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(
            f"coordinator is {coordinator!r}; HOST:PORT of process 0, such as 10.0.0.1:8476, "
            "would fit"
        )
    if not 0 <= process < processes:
        fits = f"from 0 to {processes - 1}" if processes > 0 else "below --processes"
        raise ValueError(f"process is {process} of {processes}; a number {fits} would fit")
    if process == 0 and processes > 1:
        _check_port(coordinator, int(port))


def _check_port(coordinator: str, port: int) -> None:
    """Refuses a port that another listens on: jax would share it, and wait for ever."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            said = f"the coordinator's port cannot be had: {error.strerror}; another would fit"
            raise OSError(error.errno, said, coordinator) from error


def nobody_came(
    coordinator: str | None, processes: int | None, process: int | None, patience: float
) -> None:
    """Ends a process that has waited for the others in vain, before C++ ends it."""
    waited = f"within {patience:g} s"
    if coordinator is None:
        found = f"the other processes did not come {waited}"
    else:
        found = (
            f"process {process} of {processes} met too few others at {coordinator} {waited}; the "
            "same --processes in each and another --process for each would fit"
        )
        host, _, port = coordinator.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
        except OSError as error:
            why = error.strerror or error
            found = f"process 0 cannot be reached at {coordinator} {waited}: {why}"
    say(found)
    os._exit(2)


def say(line: str) -> None:
    """One line on standard error, whatever Python has made of it."""
    with contextlib.suppress(OSError):
        os.write(2, f"attention-jax: {line}\n".encode())
