"""Functions and steps over many devices: replicated (pmap), on meshes, around rings."""
