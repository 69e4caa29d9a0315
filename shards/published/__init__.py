"""Packs datasets in the published layout (``synset/object/image_0.jpg`` and ``latent_0.npy``), and unpacks to it."""
