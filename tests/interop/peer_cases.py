"""Small models of every kind that folders hold, as transformers' configs say them."""

LLAMA = {
    "vocab_size": 29,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "vocab_size": 29,
    "n_positions": 40,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 4,
    "bos_token_id": 28,
    "eos_token_id": 28,
}
CAUSAL = {
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2, wide, exact": (
        "GPT2LMHeadModel",
        GPT2 | {"n_inner": 40, "activation_function": "gelu", "layer_norm_epsilon": 1e-3},
    ),
    "gpt2, untied, padded": (
        "GPT2LMHeadModel",
        GPT2 | {"n_head": 1, "tie_word_embeddings": False, "pad_token_id": 7},
    ),
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama, grouped, tied": (
        "LlamaForCausalLM",
        LLAMA | {"num_key_value_heads": 2, "tie_word_embeddings": True, "rms_norm_eps": 1e-3},
    ),
    "llama, biased, wide heads": (
        "LlamaForCausalLM",
        LLAMA
        | {"attention_bias": True, "head_dim": 6, "num_key_value_heads": 1, "pad_token_id": 0},
    ),
    "llama, all biased, several ends": (
        "LlamaForCausalLM",
        LLAMA | {"attention_bias": True, "mlp_bias": True, "eos_token_id": [2, 3, 4]},
    ),
    "mistral": (
        "MistralForCausalLM",
        LLAMA | {"sliding_window": 4, "num_key_value_heads": 2},
    ),
    "mistral, no window": (
        "MistralForCausalLM",
        LLAMA | {"sliding_window": None, "head_dim": 8, "tie_word_embeddings": True},
    ),
    "qwen2": (
        "Qwen2ForCausalLM",
        LLAMA
        | {
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
    ),
    "qwen2, tied, window": (
        "Qwen2ForCausalLM",
        LLAMA
        | {
            "tie_word_embeddings": True,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 0,
        },
    ),
}
"""Language models."""
