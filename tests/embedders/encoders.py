"""Tiny checkpoints with random weights of the kinds that sentence-transformers makes multi-vector models of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.embedders.checkpoints import HIDDEN, LAYERS, build_colpali, build_colqwen2, byte_tokenizer

__all__ = ["ENCODERS", "VISUAL", "build_plain_encoder", "build_single_vector", "build_unprojected"]

CONTROL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]


def build_plain_encoder(folder: Path) -> None:
    """A BERT as transformers saves it: no multi-vector model."""
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel

    tokenizer = byte_tokenizer(
        CONTROL,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    )
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", tokenizer.cls_token_id), ("[SEP]", tokenizer.sep_token_id)]
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=2 * HIDDEN,
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    BertModel(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build_colbert(folder: Path) -> None:
    """As sentence-transformers saves one: projection, mask, normalised rows; documents of 40 tokens, queries of 24."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    plain = folder.with_name(f"{folder.name} plain")
    build_plain_encoder(plain)
    torch.manual_seed(1)
    transformer = Transformer(
        str(plain),
        document_length=40,
        query_expansion={"strategy": "fixed", "attend": False, "length": 24},
    )
    dense = Dense(HIDDEN, 16, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    mask, unit = MultiVectorMask(skiplist_words=list(".,!")), Normalize(module_input_name="token_embeddings")
    prompts = {"query": "[unused0] ", "document": "[unused1] "}
    MultiVectorEncoder(modules=[transformer, dense, mask, unit], prompts=prompts).save(str(folder))


def build_pylate(folder: Path) -> None:
    """As PyLate 1 and 3 save one: a transformer and a projection, the rest in one configuration."""
    build_plain_encoder(folder)
    dense = folder / "1_Dense"
    dense.mkdir()
    torch.manual_seed(1)
    save_weights({"linear.weight": torch.randn(16, HIDDEN)}, dense / "model.safetensors")
    write_json(
        dense / "config.json",
        {
            "in_features": HIDDEN,
            "out_features": 16,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    write_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
        ],
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "ColBERT",
            "query_prefix": "[unused0]",
            "document_prefix": "[unused1]",
            "query_length": 24,
            "document_length": 40,
            "do_query_expansion": True,
            "attend_to_expansion_tokens": False,
            "similarity_fn_name": "MaxSim",
        },
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False})


def build_stanford(folder: Path) -> None:
    """As Stanford's ColBERT saves one: the projection among the encoder's weights, settings in artifact.metadata."""
    from safetensors.torch import load_file

    build_plain_encoder(folder)
    weights = {f"bert.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    torch.manual_seed(1)
    save_weights({**weights, "linear.weight": torch.randn(16, HIDDEN)}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "architectures": ["HF_ColBERT"]})
    write_json(folder / "artifact.metadata", {"query_maxlen": 24, "doc_maxlen": 40, "mask_punctuation": True})


def build_single_vector(folder: Path) -> None:
    """A model of sentence-transformers with one vector a text."""
    from sentence_transformers import SentenceTransformer

    plain = folder.with_name(f"{folder.name} plain")
    build_plain_encoder(plain)
    SentenceTransformer(str(plain), device="cpu").save(str(folder))


def build_unprojected(folder: Path) -> None:
    """Looks like a multi-vector model, and its projection is missing."""
    build_pylate(folder)
    (folder / "1_Dense" / "model.safetensors").unlink()
    save_weights({"other.weight": torch.zeros(1)}, folder / "1_Dense" / "model.safetensors")


def build_native_colpali(folder: Path) -> None:
    """Transformers' own class for ColPali, whose projection lies inside it."""
    from colpali_engine.models import ColPaliProcessor as EngineProcessor
    from transformers import AutoConfig, ColPaliConfig, ColPaliForRetrieval, ColPaliProcessor

    build_colpali(folder)
    processor = EngineProcessor.from_pretrained(folder)
    config = ColPaliConfig(vlm_config=AutoConfig.from_pretrained(folder))
    _save_native(ColPaliForRetrieval, config, ColPaliProcessor, processor, folder)


def build_native_colqwen2(folder: Path) -> None:
    """Transformers' own class for ColQwen2."""
    from colpali_engine.models import ColQwen2Processor as EngineProcessor
    from transformers import AutoConfig, ColQwen2Config, ColQwen2ForRetrieval, ColQwen2Processor

    build_colqwen2(folder)
    processor = EngineProcessor.from_pretrained(folder)
    config = ColQwen2Config(vlm_config=AutoConfig.from_pretrained(folder))
    _save_native(ColQwen2ForRetrieval, config, ColQwen2Processor, processor, folder)


def _save_native(model_class: Any, config: Any, processor_class: Any, processor: Any, folder: Path) -> None:
    shutil.rmtree(folder)
    torch.manual_seed(0)
    model = model_class(config).eval()
    with torch.no_grad():
        model.embedding_proj_layer.bias.normal_(std=0.02)
    model.save_pretrained(folder)
    native = processor_class(image_processor=processor.image_processor, tokenizer=processor.tokenizer)
    native.save_pretrained(folder)


VISUAL: Mapping[str, Callable[[Path], None]] = {"ColPali": build_native_colpali, "ColQwen2": build_native_colqwen2}

ENCODERS: Mapping[str, Callable[[Path], None]] = {
    "sentence-transformers": build_colbert,
    "PyLate": build_pylate,
    "Stanford": build_stanford,
}
"""By whose format they are saved in."""


def save_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: weight.contiguous() for name, weight in weights.items()}, path, {"format": "pt"})


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))
