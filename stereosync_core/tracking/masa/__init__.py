"""MASA: identities for the boxes of any detector, by learned appearance.

Li et al., "Matching Anything by Segmenting Anything", CVPR 2024. Own torch implementation of the ResNet-50 variant that reads
the released checkpoint (``masa_r50.pth``, Apache-2.0); needs torch, torchvision, numpy and safetensors alone.
"""
