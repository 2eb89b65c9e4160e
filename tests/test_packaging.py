"""What gets installed, built from a copy of the checkout in a folder whose name is no identifier."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from source import PACKAGES, PYPROJECT, ROOT, module_files

import fokker

NOT_INSTALLED = {"tests", "tools"}
NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
INFO = f"fokker-{fokker.__version__}.dist-info"


def run(*code: str, cwd: Path, options: tuple[str, ...] = (), **env: str) -> str:
    """What `python -c code` prints."""
    command = [sys.executable, *options, "-c", *code]
    done = subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("copy") / "fokker-main", ignore=NOT_SOURCE))


def unpack(hook: str, checkout: Path, folder: Path) -> Path:
    """Build by setuptools' `hook` as pip would, and lay the wheel out as pip would."""
    run(BUILD, hook, str(folder), cwd=checkout)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    return site


@pytest.fixture(scope="module")
def site(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("build_wheel", checkout, tmp_path_factory.mktemp("wheel"))


def test_every_folder_with_an_init_is_listed() -> None:
    top = [folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    inits = [file for folder in top if folder.name not in NOT_INSTALLED for file in folder.rglob("__init__.py")]
    folders = {".".join(["fokker", *file.parent.relative_to(ROOT).parts]) for file in inits}
    assert sorted(PACKAGES) == sorted(folders | {"fokker"})


def test_the_wheel_holds_the_package_and_nothing_else(site: Path) -> None:
    modules = {file.relative_to(ROOT) for file in module_files().values()}
    data = {
        file.relative_to(ROOT)
        for package, patterns in PYPROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for file in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    info = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}
    expected = {f"fokker/{file.as_posix()}" for file in modules | data} | {f"{INFO}/{name}" for name in info}
    assert {file.relative_to(site).as_posix() for file in site.rglob("*") if file.is_file()} == expected


def test_the_wheel_holds_the_stub_the_marker_the_configurations_and_the_networks(site: Path) -> None:
    assert (site / "fokker/py.typed").is_file()
    assert (site / "fokker/__init__.pyi").is_file()
    configs = {file.stem for file in site.glob("fokker/generative/configs/*.toml")}
    weights = {file.stem for file in site.glob("fokker/generative/weights/*.safetensors")}
    networks = {"digits-flow", "digits-eps", "digits-rough", "digits-eps-rough", "mnist-flow", "mnist-eps"}
    assert (site / "fokker/verification/report/templates/report.html.jinja").is_file()
    assert networks <= configs
    assert networks <= weights


def test_the_root_holds_the_face_alone() -> None:
    assert {file.name for file in ROOT.glob("*.py")} == {"__init__.py", "cli.py"}


def test_the_version_has_one_source(site: Path) -> None:
    metadata = (site / INFO / "METADATA").read_text()
    assert f"\nVersion: {fokker.__version__}\n" in metadata
    assert version("fokker") == fokker.__version__


def test_the_wheel_imports_from_any_directory(site: Path, tmp_path: Path) -> None:
    code = "import fokker, fokker.verification; print(fokker.__file__, fokker.solve.__module__)"
    found = run(code, cwd=tmp_path, PYTHONPATH=str(site))
    assert found == f"{site / 'fokker/__init__.py'} fokker.solvers.solve"


def test_an_editable_install_imports_from_any_directory(checkout: Path, tmp_path: Path) -> None:
    site = unpack("build_editable", checkout, tmp_path)
    code = "import site, sys; site.addsitedir(sys.argv[1]); import fokker.cli as cli; print(cli.__file__)"
    # -S and the order: this environment's own install of fokker must not be found first.
    others = [path for path in sys.path if path.endswith("site-packages")]
    path = os.pathsep.join([str(site), *others])
    found = run(code, str(site), cwd=tmp_path, options=("-S",), PYTHONPATH=path)
    assert found == str(checkout / "cli.py")


@pytest.mark.slow
def test_pytest_collects_in_a_folder_whose_name_is_no_identifier(checkout: Path) -> None:
    code = "import pytest; raise SystemExit(pytest.main(['--quiet', '--collect-only']))"
    run(code, cwd=checkout)


def test_the_public_names_are_those_that_type_checkers_see() -> None:
    listed = [
        (f"fokker.{node.module}" if node.module else "fokker", alias.name)
        for node in ast.parse((ROOT / "__init__.pyi").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(name for _, name in listed) == sorted(fokker.__all__)
    for home, name in listed:
        expected = import_module(f"fokker.{name}") if home == "fokker" else getattr(import_module(home), name)
        assert getattr(fokker, name) is expected


def test_type_checkers_see_every_name_of_the_face() -> None:
    """A name that is imported in a stub is public only if it is written `name as name`."""
    for node in ast.parse((ROOT / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            assert [alias.name for alias in node.names] == [alias.asname for alias in node.names]


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fokker' has no attribute 'slove'"):
        _ = fokker.slove
