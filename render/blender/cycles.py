"""Render settings in Blender's own terms: resolution, color, samples, bounces, denoising."""

from pathlib import Path

import bpy

from render.settings import RenderSettings

_SAMPLING = {"automatic": "AUTOMATIC", "sobol": "TABULATED_SOBOL"}
_GUIDES = {"none": "RGB", "albedo": "RGB_ALBEDO", "albedo_normal": "RGB_ALBEDO_NORMAL"}


def set_output(scene: "bpy.types.Scene", settings: RenderSettings, threads: int, frame: Path) -> None:
    """Sets resolution, color management, threads and the path of each frame, a BMP, which takes no time to compress."""
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = settings.image_size
    render.resolution_percentage = 100
    render.film_transparent = False
    render.filter_size = 1.5
    render.use_persistent_data = True
    render.dither_intensity = settings.dither
    render.threads_mode = "FIXED" if threads else "AUTO"
    render.threads = threads or 1
    render.image_settings.file_format = "BMP"
    render.image_settings.color_mode = "RGB"
    render.filepath = str(frame)
    render.use_file_extension = False
    scene.display_settings.display_device = "sRGB"
    view = scene.view_settings
    view.view_transform = "Filmic"
    view.look = "None"
    view.exposure, view.gamma = 0.0, 1.0
    view.use_curve_mapping = False


def set_cycles(scene: "bpy.types.Scene", settings: RenderSettings) -> None:
    """Samples, bounces and denoising; what is not in ``settings`` is as the published generator has it."""
    cycles = scene.cycles
    cycles.samples = settings.samples
    cycles.sampling_pattern = _SAMPLING[settings.sampling]
    cycles.seed = 0
    cycles.use_animated_seed = False
    cycles.use_adaptive_sampling = settings.adaptive_threshold > 0
    cycles.adaptive_threshold = settings.adaptive_threshold or 0.01
    cycles.adaptive_min_samples = settings.min_samples
    cycles.use_light_tree = False
    cycles.light_sampling_threshold = 0.01
    cycles.max_bounces = 3
    cycles.diffuse_bounces = 3
    cycles.glossy_bounces = cycles.transmission_bounces = cycles.volume_bounces = 0
    cycles.transparent_max_bounces = 8
    cycles.min_light_bounces = cycles.min_transparent_bounces = 0
    cycles.sample_clamp_direct, cycles.sample_clamp_indirect = 0.0, 10.0
    cycles.blur_glossy = 1.0
    cycles.caustics_reflective = cycles.caustics_refractive = True
    cycles.pixel_filter_type = "BLACKMAN_HARRIS"
    cycles.filter_width = 1.5
    cycles.use_denoising = settings.denoiser not in ("none", "compositor")
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = _GUIDES[settings.guides]
    cycles.denoising_prefilter = settings.prefilter.upper()
    if cycles.use_denoising:
        cycles.denoising_quality = settings.denoiser.upper()
    if settings.denoiser == "compositor":
        _denoise_in_compositor(scene, settings)


def _denoise_in_compositor(scene: "bpy.types.Scene", settings: RenderSettings) -> None:
    """A Denoise node that is fed the diffuse color and normal passes, as in the published generator."""
    layer = scene.view_layers[0]
    layer.use_pass_diffuse_color = layer.use_pass_normal = True
    scene.use_nodes = True
    scene.render.use_compositing = True
    scene.render.compositor_device = "CPU"
    tree = scene.node_tree
    tree.nodes.clear()
    layers = tree.nodes.new("CompositorNodeRLayers")
    denoise = tree.nodes.new("CompositorNodeDenoise")
    denoise.prefilter = settings.prefilter.upper()
    denoise.quality = "HIGH"
    composite = tree.nodes.new("CompositorNodeComposite")
    tree.links.new(layers.outputs["Image"], denoise.inputs["Image"])
    tree.links.new(layers.outputs["DiffCol"], denoise.inputs["Albedo"])
    tree.links.new(layers.outputs["Normal"], denoise.inputs["Normal"])
    tree.links.new(denoise.outputs["Image"], composite.inputs["Image"])
