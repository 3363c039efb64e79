"""ColPali at its real size with random weights: as slow and as large as a trained one, and nothing to download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["build"]

VOCABULARY = 257_216
RANK = 32
CONTROL = ["<pad>", "<eos>", "<bos>", "<unk>", "<image>"]


def build(folder: Path, *, layers: int | None = None) -> None:
    """Write the model in bfloat16, 5.9 GB, and beside it in ``adapter`` a LoRA adapter to it, as vidore publishes them.

    ``layers`` makes it smaller, for trying.
    """
    import torch
    from colpali_engine.models import ColPali

    processor = _processor()
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = ColPali(_config(processor, layers)).eval()
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():  # not zero, as in trained weights
        model.get_input_embeddings().weight[0].normal_(std=0.02)
        model.custom_text_proj.bias.normal_(std=0.02)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    _add_adapter(model, folder / "adapter", folder)
    processor.save_pretrained(folder / "adapter")


def _processor() -> Any:
    from colpali_engine.models import ColPaliProcessor
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, SiglipImageProcessor

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate([*CONTROL, *alphabet])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="right",
        extra_special_tokens={"image_token": "<image>"},
        **{f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")},
    )
    size = {"height": 448, "width": 448}
    pictures = SiglipImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3, resample=3)
    pictures.image_seq_length = 1024
    return ColPaliProcessor(image_processor=pictures, tokenizer=fast)


def _config(processor: Any, layers: int | None) -> Any:
    from transformers import GemmaConfig, PaliGemmaConfig, SiglipVisionConfig

    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    return PaliGemmaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=1152,
            intermediate_size=4304,
            num_hidden_layers=layers or 27,
            num_attention_heads=16,
            image_size=448,
            patch_size=14,
            vision_use_head=False,
            projection_dim=2048,
        ),
        text_config=GemmaConfig(
            vocab_size=VOCABULARY,
            hidden_size=2048,
            intermediate_size=16_384,
            num_hidden_layers=layers or 18,
            num_attention_heads=8,
            num_key_value_heads=1,
            head_dim=256,
            **ids,
        ),
        image_token_index=processor.image_token_id,
        projection_dim=2048,
        hidden_size=2048,
        **ids,
    )


def _add_adapter(model: Any, folder: Path, base: Path) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=RANK,
        lora_alpha=RANK,
        init_lora_weights="gaussian",
        target_modules=r"(.*(language_model).*(down_proj|gate_proj|up_proj|k_proj|q_proj|v_proj|o_proj).*$"
        r"|.*(custom_text_proj).*$)",
        task_type="FEATURE_EXTRACTION",
    )
    get_peft_model(model, config).save_pretrained(str(folder))
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "base_model_name_or_path": str(base.absolute())}))
