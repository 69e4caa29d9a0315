"""The layout of the published datasets: ``synset/object/image_0.jpg`` and ``latent_0.npy``, in and out."""
