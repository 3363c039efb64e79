"""Tiny checkpoints with random weights of the real classes, so that every way of loading can be run offline.

Their tokenizers know bytes alone, one token each, besides their family's control tokens: how many rows a text has can
be counted. An embedding of padding and the bias of the projection are not zero, as in trained weights: left padding
would come out as NaN otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tests.embedders.torchvision_on_cpu import make_torchvision_importable

make_torchvision_importable()

from transformers import PreTrainedTokenizerFast  # noqa: E402 - it imports torchvision

__all__ = ["BUILDERS", "LAYERS", "add_adapter", "byte_tokenizer"]

HIDDEN = 32
LAYERS = 2
HALF = [0.5] * 3


def byte_tokenizer(control: list[str], **roles: Any) -> Any:
    """One token a byte, and the control tokens before them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={token: index for index, token in enumerate([*control, *alphabet])}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def _save(model: Any, processor: Any, folder: Path, padding: int) -> None:
    with torch.no_grad():
        model.get_input_embeddings().weight[padding].normal_(std=0.02)
        projection = getattr(model, "custom_text_proj", None) or model.linear
        projection.bias.normal_(std=0.02)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)


def build_colpali(folder: Path) -> None:
    """112 pixels a side in squares of 14: 64 patches."""
    from colpali_engine.models import ColPali, ColPaliProcessor
    from transformers import GemmaConfig, PaliGemmaConfig, SiglipImageProcessor, SiglipVisionConfig

    control = ["<pad>", "<eos>", "<bos>", "<unk>", "<image>"]
    roles = {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")}
    tokenizer = byte_tokenizer(control, **roles, padding_side="right", extra_special_tokens={"image_token": "<image>"})
    pictures = SiglipImageProcessor(size={"height": 112, "width": 112}, image_mean=HALF, image_std=HALF, resample=3)
    pictures.image_seq_length = 64
    processor = ColPaliProcessor(image_processor=pictures, tokenizer=tokenizer)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(
            **_layers(heads=4), image_size=112, patch_size=14, vision_use_head=False, projection_dim=HIDDEN
        ),
        text_config=GemmaConfig(
            **_layers(heads=4), vocab_size=len(processor.tokenizer), num_key_value_heads=1, head_dim=16, **ids
        ),
        image_token_index=processor.image_token_id,
        projection_dim=HIDDEN,
        hidden_size=HIDDEN,
        **ids,
    )
    torch.manual_seed(0)
    _save(ColPali(config), processor, folder, tokenizer.pad_token_id)


def _layers(heads: int) -> dict[str, Any]:
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": heads,
    }


def _tiled(bos: str) -> tuple[Any, Any]:
    """The tokenizer and image processor of the Idefics3 way: tiles of 64 pixels, at most 2 x 2, and the whole."""
    from transformers import Idefics3ImageProcessor

    grid = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    control = [bos, "<|im_end|>", "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *grid]
    tokenizer = byte_tokenizer(control, pad_token="<|im_end|>", eos_token="<end_of_utterance>", bos_token=bos)
    pictures = Idefics3ImageProcessor(
        size={"longest_edge": 128},
        max_image_size={"longest_edge": 64},
        do_image_splitting=True,
        image_mean=HALF,
        image_std=HALF,
        resample=1,
    )
    return tokenizer, pictures


def build_colidefics3(folder: Path) -> None:
    """16 vectors a tile; ColSmol's class."""
    from colpali_engine.models import ColIdefics3, ColIdefics3Processor
    from transformers import Idefics3Config, LlamaConfig

    tokenizer, pictures = _tiled("<|im_start|>")
    processor = ColIdefics3Processor(pictures, tokenizer, image_seq_len=16)
    config = Idefics3Config(
        vision_config={**_layers(heads=4), "image_size": 64, "patch_size": 8},
        text_config=LlamaConfig(
            **_layers(heads=4),
            vocab_size=len(processor.tokenizer),
            num_key_value_heads=2,
            max_position_embeddings=8192,
            pad_token_id=tokenizer.pad_token_id,
        ),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    _save(ColIdefics3(config), processor, folder, tokenizer.pad_token_id)


def build_colmodernvbert(folder: Path) -> None:
    """16 vectors a tile, attention both ways."""
    from colpali_engine.models import ColModernVBert, ColModernVBertProcessor
    from transformers import ModernBertConfig, ModernVBertConfig, SiglipVisionConfig

    tokenizer, pictures = _tiled("<|begin_of_text|>")
    processor = ColModernVBertProcessor(pictures, tokenizer, image_seq_len=16)
    config = ModernVBertConfig(
        text_config=ModernBertConfig(
            **_layers(heads=4),
            vocab_size=len(processor.tokenizer),
            max_position_embeddings=8192,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            cls_token_id=tokenizer.bos_token_id,
            sep_token_id=tokenizer.eos_token_id,
        ),
        vision_config=SiglipVisionConfig(**_layers(heads=4), image_size=64, patch_size=8, vision_use_head=False),
        pixel_shuffle_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(0)
    _save(ColModernVBert(config), processor, folder, tokenizer.pad_token_id)


QWEN_CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"]
QWEN_PADS = ["<|image_pad|>", "<|video_pad|>"]


def _qwen(processor_class: Any) -> tuple[Any, Any, dict[str, Any]]:
    """A processor of the Qwen way, one vector for 28 x 28 pixels and 64 at most, and what both configs share."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    tokenizer = byte_tokenizer([*QWEN_CONTROL, *QWEN_PADS], pad_token="<|endoftext|>", eos_token="<|im_end|>")
    area = {"shortest_edge": 4 * 28 * 28, "longest_edge": 64 * 28 * 28}
    shape = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
    processor = processor_class(
        image_processor=Qwen2VLImageProcessor(size=dict(area), **shape),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=dict(area), **shape),
    )
    names = ("image_pad", "video_pad", "vision_start", "vision_end")
    keys = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    config: dict[str, Any] = {
        "text_config": {
            **_layers(heads=2),
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 1,
            "max_position_embeddings": 8192,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        **{key: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in zip(keys, names, strict=True)},
    }
    return processor, tokenizer, config


def build_colqwen2(folder: Path) -> None:
    from colpali_engine.models import ColQwen2, ColQwen2Processor
    from transformers import Qwen2VLConfig

    processor, tokenizer, shared = _qwen(ColQwen2Processor)
    vision = {
        "depth": LAYERS,
        "embed_dim": HIDDEN,
        "hidden_size": HIDDEN,
        "num_heads": 4,
        "mlp_ratio": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    torch.manual_seed(0)
    _save(ColQwen2(Qwen2VLConfig(vision_config=vision, **shared)), processor, folder, tokenizer.pad_token_id)


def build_colqwen2_5(folder: Path) -> None:
    from colpali_engine.models import ColQwen2_5, ColQwen2_5_Processor
    from transformers import Qwen2_5_VLConfig

    processor, tokenizer, shared = _qwen(ColQwen2_5_Processor)
    vision = {
        "depth": LAYERS,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_heads": 4,
        "out_hidden_size": HIDDEN,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [LAYERS - 1],
    }
    torch.manual_seed(0)
    _save(ColQwen2_5(Qwen2_5_VLConfig(vision_config=vision, **shared)), processor, folder, tokenizer.pad_token_id)


BUILDERS: Mapping[str, Callable[[Path], None]] = {
    "ColPali": build_colpali,
    "ColQwen2": build_colqwen2,
    "ColQwen2_5": build_colqwen2_5,
    "ColIdefics3": build_colidefics3,
    "ColModernVBert": build_colmodernvbert,
}


def add_adapter(base: Path, folder: Path, rename: Callable[[str], str] = str) -> None:
    """A LoRA adapter to a checkpoint, as colpali-engine trains them; ``rename`` changes the names of its weights."""
    import colpali_engine.models
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig

    family = AutoConfig.from_pretrained(base).architectures[0]
    model = getattr(colpali_engine.models, family).from_pretrained(base)
    targets = r"(.*(language_model|text_model|model).*(down_proj|gate_proj|up_proj|k_proj|q_proj|v_proj|o_proj).*$)"
    config = LoraConfig(
        r=4,
        lora_alpha=8,
        init_lora_weights="gaussian",
        target_modules=f"{targets}|(.*(custom_text_proj|linear).*$)",
        task_type="FEATURE_EXTRACTION",
    )
    torch.manual_seed(1)
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(str(folder))
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({rename(name): weight for name, weight in weights.items()}, folder / "adapter_model.safetensors")
