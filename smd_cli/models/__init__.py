"""Diffusion models behind one interface: found, checked, loaded, and asked through `Backbone`."""

import logging

for _name in ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    # diffusers imports torchao wherever it is installed, which then tells of kernels that a machine lacks
    logging.getLogger(_name).setLevel(logging.CRITICAL)
