"""Makes the host's own Stable Audio narrow, for the tests alone, so that its native nodes load a file of a few megabytes.

ComfyUI knows one size of this model and does not look at the file's shapes. The sizes of ``sizes.json`` take the place of that
one; all else, from CheckpointLoaderSimple to VAE Decode Audio, is the host's.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import comfy.ldm.audio.dit
import comfy.ldm.audio.embedders
import comfy.sd
import comfy.text_encoders.sa_t5

SIZES = json.loads((Path(__file__).parent / "sizes.json").read_text(encoding="utf-8"))
_NumberConditioner = comfy.ldm.audio.embedders.NumberConditioner
_Autoencoder = comfy.sd.AudioOobleckVAE
_T5 = comfy.text_encoders.sa_t5.T5BaseModel


class NarrowT5(_T5):
    def __init__(self, *args, model_options, **options):
        super().__init__(*args, model_options={**model_options, "t5base_model_config": SIZES["text"]}, **options)


def narrow_autoencoder():
    whole = _Autoencoder(**SIZES["autoencoder"])
    whole.decoder = _Autoencoder(**SIZES["autoencoder"] | {"channels": SIZES["decoder_channels"]}).decoder
    return whole


def narrow_number(_: int, **bounds):
    return _NumberConditioner(SIZES["transformer"]["cond_token_dim"], **bounds)


comfy.ldm.audio.dit.AudioDiffusionTransformer = partial(comfy.ldm.audio.dit.AudioDiffusionTransformer, **SIZES["transformer"])
comfy.ldm.audio.embedders.NumberConditioner = narrow_number
comfy.text_encoders.sa_t5.T5BaseModel = NarrowT5
comfy.sd.AudioOobleckVAE = narrow_autoencoder

NODE_CLASS_MAPPINGS: dict = {}
