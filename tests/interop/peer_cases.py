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

MARIAN = {
    "vocab_size": 29,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 32,
    "activation_function": "swish",
    "scale_embedding": True,
    "pad_token_id": 28,
    "decoder_start_token_id": 28,
    "eos_token_id": 0,
    "forced_eos_token_id": 0,
}
T5 = {
    "vocab_size": 29,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 4,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
}
SEQ2SEQ = {
    "marian": ("MarianMTModel", MARIAN),
    "marian, relu, other decoder": (
        "MarianMTModel",
        MARIAN
        | {
            "activation_function": "relu",
            "scale_embedding": False,
            "decoder_layers": 1,
            "decoder_attention_heads": 2,
            "decoder_ffn_dim": 20,
            "forced_eos_token_id": None,
        },
    ),
    "marian, two tables": (
        "MarianMTModel",
        MARIAN
        | {
            "share_encoder_decoder_embeddings": False,
            "decoder_vocab_size": 31,
            "activation_function": "gelu",
        },
    ),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5, few buckets, shallow decoder": (
        "T5ForConditionalGeneration",
        T5
        | {
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 6,
            "num_decoder_layers": 1,
            "layer_norm_epsilon": 1e-3,
        },
    ),
    "t5, 1.1": (
        "T5ForConditionalGeneration",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "d_kv": 6},
    ),
    "t5, gated silu": ("T5ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-silu"}),
}
"""Models that write a text for a text."""

BERT = {
    "vocab_size": 29,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "pad_token_id": 0,
}
ENCODERS = {
    "bert": ("BertModel", BERT),
    "bert, other padding": (
        "BertModel",
        BERT | {"pad_token_id": 5, "hidden_act": "gelu_new", "type_vocab_size": 3},
    ),
    "roberta": ("RobertaModel", BERT | {"pad_token_id": 1, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBertModel",
        {
            "vocab_size": 29,
            "dim": 16,
            "n_layers": 1,
            "n_heads": 2,
            "hidden_dim": 20,
            "max_position_embeddings": 14,
            "activation": "relu",
        },
    ),
}
"""Models that give features alone."""

VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "image_size": 12,
    "patch_size": 4,
    "num_labels": 5,
}
PICTURES = {
    "vit": ("ViTForImageClassification", VIT),
    "vit, grey, no biases": (
        "ViTForImageClassification",
        VIT | {"num_channels": 1, "qkv_bias": False, "patch_size": 6, "hidden_act": "gelu_new"},
    ),
}
"""Models of pictures."""
