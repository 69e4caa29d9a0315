"""What `render.procedural` promises about its models and its files."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from render.procedural import CLASSES, build_object, find_class, make_models, model_files, write_object
from shards.errors import UsageError

ROOT = Path(__file__).parents[2]
CHECKED = 4  # objects of each class that are looked at


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    make_models(out, objects_per_class=CHECKED)
    return out


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make_in_another_process(out: Path, hash_seed: str) -> None:
    code = (
        "import sys; from pathlib import Path; from render.procedural import make_models;"
        "make_models(Path(sys.argv[1]), classes=['lamp', 'car', 'mug'], objects_per_class=3, seed=5)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(out)], check=True, env=environment, cwd=ROOT)


@pytest.mark.processes
def test_another_hash_seed_and_two_workers_write_the_same_bytes(tmp_path):
    make_in_another_process(tmp_path / "a", "1")
    seen: list[tuple[int, int]] = []
    make_models(
        tmp_path / "b", ["lamp", "car", "mug"], 3, seed=5, progress=lambda *n: seen.append(n), workers=2
    )
    assert seen == [(done, 9) for done in range(1, 10)]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) > 3 * 3 * 2


def test_the_first_objects_do_not_depend_on_how_many_are_made(tmp_path):
    few = make_models(tmp_path / "few", ["chair"], objects_per_class=2)
    many = make_models(tmp_path / "many", ["bowl", "chair"], objects_per_class=4)
    for folder in few:
        twin = tmp_path / "many" / folder.relative_to(tmp_path / "few")
        assert twin in many
        assert contents(folder) == contents(twin)


def test_another_seed_gives_other_objects():
    assert model_files(build_object("mug", 0, seed=0)) != model_files(build_object("mug", 0, seed=1))


def test_the_layout_is_that_of_shapenet_v2(models):
    for shape in CLASSES.values():
        for index in range(CHECKED):
            folder = models / shape.synset / f"{shape.name}-{index:04d}"
            assert (folder / "models" / "model_normalized.obj").is_file()
            assert (folder / "models" / "model_normalized.mtl").is_file()
    assert not [path for path in models.rglob("*") if path.name.endswith(".partial")]


def test_the_synsets_are_sorted_and_there_are_at_least_fourteen_classes():
    synsets = [shape.synset for shape in CLASSES.values()]
    assert synsets == sorted(set(synsets))
    assert len(synsets) >= 14
    assert all(name == shape.name for name, shape in CLASSES.items())


@pytest.mark.parametrize("name", CLASSES)
def test_every_object_loads_centered_with_a_unit_diagonal(models, name):
    for path in sorted((models / CLASSES[name].synset).glob("*/models/*.obj")):
        mesh = trimesh.load(path, force="mesh", process=False)
        assert np.isfinite(mesh.vertices).all()
        assert 100 <= len(mesh.faces) <= 6000
        low, high = mesh.bounds
        assert np.linalg.norm(high - low) == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose((low + high) / 2, 0.0, atol=1e-5)
        assert (high - low).min() > 0.02


@pytest.mark.parametrize("name", CLASSES)
def test_normals_are_of_unit_length_and_agree_with_the_faces(models, name):
    path = next((models / CLASSES[name].synset).glob("*-0000/models/*.obj"))
    rows = [line.split() for line in path.read_text().splitlines()]
    positions = np.array([row[1:] for row in rows if row[0] == "v"], dtype=float)
    normals = np.array([row[1:] for row in rows if row[0] == "vn"], dtype=float)
    faces = (
        np.array([[corner.split("/") for corner in row[1:]] for row in rows if row[0] == "f"], dtype=int) - 1
    )
    corners = positions[faces[:, :, 0]]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sized = np.linalg.norm(cross, axis=1) > 1e-7  # smaller ones suffer from rounding
    agreement = (normals[faces[:, :, 2]] * cross[:, None]).sum(axis=-1)[sized]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-3)
    assert (agreement > 0).all()


@pytest.mark.parametrize("name", CLASSES)
def test_every_object_has_several_materials_and_all_are_defined(models, name):
    for path in sorted((models / CLASSES[name].synset).glob("*/models/*.obj")):
        used = re.findall(r"^usemtl (\S+)$", path.read_text(), re.MULTILINE)
        defined = re.findall(r"^newmtl (\S+)$", path.with_suffix(".mtl").read_text(), re.MULTILINE)
        assert len(used) >= 2
        assert used == defined
        assert len(set(used)) == len(used), "one group for each material"


def test_every_texture_referred_to_exists_and_none_stands_about_unused(models):
    for path in sorted(models.rglob("*.mtl")):
        named = re.findall(r"^map_Kd (\S+)$", path.read_text(), re.MULTILINE)
        there = sorted((path.parents[1] / "images").glob("*"))
        assert sorted((path.parent / name).resolve() for name in named) == [file.resolve() for file in there]
        assert named


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_the_objects_of_a_class_differ_in_proportions(name):
    extents, face_counts, colors = [], set(), set()
    for index in range(24):
        model = build_object(name, index)
        points = np.concatenate([mesh.vertices for mesh, _ in model.parts])
        extents.append(np.ptp(points, axis=0))
        face_counts.add(sum(len(mesh.faces) for mesh, _ in model.parts))
        colors.add(tuple(material.image.tobytes() for material in model.materials))
    assert np.std(extents, axis=0).max() > 0.01
    assert len(colors) >= 10
    if name not in ("cap", "laptop", "skateboard"):  # these vary in proportions alone
        assert len(face_counts) >= 3


def test_an_unknown_class_is_answered_with_the_nearest_and_all_others():
    with pytest.raises(UsageError, match=r"'chairs'.*did you mean 'chair'\?.*airplane.*table"):
        make_models(Path("unused"), ["chairs"])


def test_a_class_can_be_asked_for_by_synset():
    assert find_class("03797390").name == "mug"
    assert build_object("03797390", 2).object_id == "mug-0002"


def test_no_objects_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least 1"):
        make_models(tmp_path / "models", objects_per_class=0)
    assert not (tmp_path / "models").exists()


def test_a_folder_of_another_seed_is_refused_and_left_alone(tmp_path):
    make_models(tmp_path, ["knife"], objects_per_class=1, seed=1)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"seed 1 .*choose another folder"):
        make_models(tmp_path, ["knife"], objects_per_class=1, seed=2)
    assert contents(tmp_path) == before


def test_a_folder_of_another_generator_is_refused(tmp_path):
    make_models(tmp_path, ["knife"], objects_per_class=1)
    record = json.loads((tmp_path / "models.json").read_text())
    (tmp_path / "models.json").write_text(json.dumps({**record, "generator_version": 0}))
    with pytest.raises(UsageError, match="choose another folder"):
        make_models(tmp_path, ["knife"], objects_per_class=1)


def test_models_that_were_not_made_here_are_never_touched(tmp_path):
    stranger = tmp_path / CLASSES["mug"].synset / "mug-0000" / "models" / "model_normalized.obj"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("v 0 0 0\n")
    with pytest.raises(UsageError, match="choose another folder"):
        make_models(tmp_path, ["mug"], objects_per_class=1)
    assert stranger.read_text() == "v 0 0 0\n"


def test_an_interrupted_run_is_completed_and_what_is_done_is_not_written_again(tmp_path):
    folders = make_models(tmp_path, ["bottle"], objects_per_class=3)
    whole = contents(tmp_path)
    kept = (folders[0] / "models" / "model_normalized.obj").stat()
    (folders[1] / "models" / "model_normalized.mtl").unlink()
    for path in sorted(folders[2].rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folders[2].rename(folders[2].with_name(f".{folders[2].name}.partial"))

    seen = []
    make_models(
        tmp_path, ["bottle"], objects_per_class=3, progress=lambda done, total: seen.append((done, total))
    )
    assert contents(tmp_path) == whole
    assert seen == [(1, 3), (2, 3), (3, 3)]
    now = (folders[0] / "models" / "model_normalized.obj").stat()
    assert (now.st_ino, now.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_classes_and_objects_can_be_added_and_the_record_tells_of_all(tmp_path):
    make_models(tmp_path, ["table"], objects_per_class=2)
    make_models(tmp_path, ["bowl"], objects_per_class=1)
    record = json.loads((tmp_path / "models.json").read_text())
    assert record["seed"] == 0
    assert [(entry["name"], entry["objects"]) for entry in record["classes"]] == [("bowl", 1), ("table", 2)]


def test_writing_an_object_fails_without_leaving_half_of_it(tmp_path, monkeypatch):
    model = build_object("laptop", 0)
    monkeypatch.setattr(Path, "rename", lambda self, target: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_object(model, tmp_path / "laptop-0000")
    assert not (tmp_path / "laptop-0000").exists()
