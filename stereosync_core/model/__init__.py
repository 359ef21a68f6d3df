"""The generative model: autoencoder, backbone, control branch, samplers, and the folder that holds them."""
