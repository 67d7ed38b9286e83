"""Location encoders: their arithmetic against peers, their files, and what the real weights say of cities."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
scipy_special = pytest.importorskip("scipy.special")

from rasterio.warp import transform  # noqa: E402

from landsift.errors import EncoderError, MissingDependency, UsageError  # noqa: E402
from landsift.models.location import load_location_encoder, loading  # noqa: E402
from landsift.models.location.csp import Csp, Sinusoids  # noqa: E402
from landsift.models.location.equal_earth import equal_earth  # noqa: E402
from landsift.models.location.geoclip import GeoClip  # noqa: E402
from landsift.models.location.harmonics import spherical_harmonics  # noqa: E402
from landsift.models.location.satclip import SatClip  # noqa: E402

RNG = np.random.default_rng(7)
PLACES = np.stack([RNG.uniform(-180, 180, 60), RNG.uniform(-90, 90, 60)], axis=1)
PLACES[:4] = [[0, 0], [0, 90], [12.5, -90], [-180, 45]]
ROTTERDAM, DELFT, AMSTERDAM, SYDNEY, MELBOURNE = (
    (4.48, 51.92),
    (4.36, 52.01),
    (4.90, 52.37),
    (151.21, -33.87),
    (144.96, -37.81),
)


@pytest.fixture(scope="module")
def geoclip():
    try:
        return load_location_encoder("geoclip")
    except MissingDependency as error:
        pytest.skip(str(error))


def test_equal_earth_is_proj_s():
    radius = 6_371_000
    xs, ys = transform(
        f"+proj=longlat +R={radius} +no_defs",
        f"+proj=eqearth +R={radius} +units=m +no_defs",
        *PLACES.T,
    )
    got = equal_earth(torch.from_numpy(PLACES)).numpy()
    np.testing.assert_allclose(got * radius, np.stack([xs, ys], axis=1), atol=1e-3)


def slow_harmonics(degrees: int, *, zonal: float, phase: bool) -> np.ndarray:
    """One harmonic at a time, from scipy's complex ones (which carry the Condon-Shortley phase)."""
    azimuth, polar = np.radians(PLACES[:, 0] + 180), np.radians(PLACES[:, 1] + 90)
    columns = []
    for degree in range(degrees):
        for order in range(-degree, degree + 1):
            value = scipy_special.sph_harm_y(degree, abs(order), polar, azimuth)
            if order == 0:
                columns.append(zonal * value.real)
                continue
            sign = 1 if phase else (-1) ** order
            columns.append(sign * math.sqrt(2) * (value.real if order > 0 else value.imag))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("degrees", [1, 10, 40])
@pytest.mark.parametrize("closed_form", [True, False])
def test_spherical_harmonics_are_scipy_s(degrees, closed_form):
    got = spherical_harmonics(torch.from_numpy(PLACES), degrees, closed_form=closed_form).numpy()
    expected = slow_harmonics(degrees, zonal=1.0 if closed_form else math.pi, phase=closed_form)
    assert got.shape == (len(PLACES), degrees**2)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_first_harmonics_are_those_that_satclip_was_trained_with():
    place = torch.tensor([[10.0, 20.0]], dtype=torch.float64)
    azimuth, polar = math.radians(190), math.radians(110)
    expected = [
        0.886226925452758,
        0.48860251190292 * math.sin(polar) * math.sin(azimuth),
        1.53499006191973 * math.cos(polar),
        0.48860251190292 * math.sin(polar) * math.cos(azimuth),
    ]
    np.testing.assert_allclose(spherical_harmonics(place, 2)[0].numpy(), expected, atol=1e-12)


def slow_geoclip(state: dict[str, np.ndarray], place: tuple[float, float]) -> np.ndarray:
    """GeoCLIP's location side for one place, from the numbers of its file, by plain numpy."""
    longitude, latitude = np.radians(place)
    theta = math.asin(math.sqrt(3) / 2 * math.sin(latitude))
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    slope = 9 * a4 * theta**8 + 7 * a3 * theta**6 + 3 * a2 * theta**2 + a1
    x = 2 * math.sqrt(3) * longitude * math.cos(theta) / (3 * slope)
    y = a4 * theta**9 + a3 * theta**7 + a2 * theta**3 + a1 * theta
    point = np.array([x, y]) * 66.50336 / 180
    total = np.zeros(len(state["LocEnc0.head.0.bias"]))
    for number in range(3):
        part = {k.split(".", 1)[1]: v.astype(np.float64) for k, v in state.items() if k[6] == str(number)}
        angles = 2 * math.pi * part["capsule.0.b"] @ point
        hidden = np.concatenate([np.cos(angles), np.sin(angles)])
        for layer in (1, 3, 5):
            hidden = np.maximum(part[f"capsule.{layer}.weight"] @ hidden + part[f"capsule.{layer}.bias"], 0)
        total += part["head.0.weight"] @ hidden + part["head.0.bias"]
    return total / np.linalg.norm(total)


def test_geoclip_on_its_real_weights_is_what_its_numbers_say(geoclip):
    state = torch.load(loading._installed(), weights_only=True)
    values = {name: tensor.numpy() for name, tensor in state.items()}
    for place in (ROTTERDAM, SYDNEY, (-179.9, 66.0)):
        np.testing.assert_allclose(geoclip.encode([place])[0], slow_geoclip(values, place), atol=2e-5)
    assert geoclip.dim == 512


def test_geoclip_finds_near_places_more_alike_than_far_ones(geoclip):
    home, delft, amsterdam, sydney, melbourne = geoclip.encode(
        [ROTTERDAM, DELFT, AMSTERDAM, SYDNEY, MELBOURNE]
    )
    assert home @ delft > home @ amsterdam > home @ sydney
    assert sydney @ melbourne > sydney @ home
    # From the published file, as the slow twin computes it.
    assert float(home @ amsterdam) == pytest.approx(0.548, abs=0.01)
    steps = geoclip.encode([(4.48 + step, 51.92) for step in (0, 0.002, 0.01, 0.05, 0.2)])
    fall = steps @ steps[0]
    assert (np.diff(fall) < 0).all() and fall[1] > 0.99


def test_geoclip_is_found_without_importing_its_package(geoclip):
    assert geoclip.encode([(0, 0)]).shape == (1, 512)
    assert "geoclip" not in sys.modules


def test_longitudes_of_any_turn_are_one_place(geoclip):
    rows = geoclip.encode([(190, 10), (-170, 10), (550, 10)])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    np.testing.assert_allclose(rows[0], rows[2], atol=1e-6)


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "location.ckpt"
    torch.save(content, path)
    return path


def test_a_small_geoclip_file_reads_back(tmp_path):
    model = GeoClip(frequencies=6, width=10, dim=8)
    state = {}
    for name, value in model.state_dict().items():
        _, number, part, *rest = name.split(".")
        own = {"frequencies": "capsule.0.b", "head": f"head.0.{rest[-1] if rest else ''}"}.get(part)
        own = own or f"capsule.{int(rest[0]) + 1}.{rest[1]}"
        state[f"LocEnc{number}.{own}"] = value
    loaded = load_location_encoder(written(tmp_path, state))
    assert (loaded.name, loaded.dim) == ("geoclip", 8)
    same(loaded, model)


def same(loaded, model) -> None:
    with torch.no_grad():
        rows = torch.nn.functional.normalize(model.eval()(torch.from_numpy(PLACES)).double(), dim=1)
    np.testing.assert_allclose(loaded.encode(PLACES), rows.numpy(), atol=1e-6)
    assert np.ptp(loaded.encode(PLACES), axis=0).max() > 1e-3, "else any answer would pass"


@pytest.mark.parametrize(
    ("degrees", "calculation"), [(10, "analytic"), (40, "analytic"), (10, "closed-form")]
)
def test_a_satclip_checkpoint_reads_back(tmp_path, degrees, calculation):
    model = SatClip(degrees, width=16, layers=2, dim=12, closed_form=calculation == "closed-form")
    state = {f"model.location.nnet.{name}": value for name, value in model.state_dict().items()}
    state["model.visual.conv1.weight"] = torch.zeros(2, 13, 3, 3)
    settings = {
        "le_type": "sphericalharmonics",
        "pe_type": "siren",
        "legendre_polys": degrees,
        "harmonics_calculation": calculation,
        "embed_dim": 12,
    }
    content = {"state_dict": state, "hyper_parameters": settings, "epoch": 3, "global_step": 9}
    loaded = load_location_encoder(written(tmp_path, content))
    assert (loaded.name, loaded.dim) == ("satclip", 12)
    same(loaded, model)


def slow_sinusoids(encoding: Sinusoids, place: np.ndarray) -> np.ndarray:
    place = np.radians(place) if encoding.radians else place
    axes = [(1, 0), (-0.5, math.sqrt(3) / 2), (-0.5, -math.sqrt(3) / 2)]
    row = []
    step = math.log(encoding.longest / encoding.shortest) / (encoding.count - 1)
    scales = [encoding.shortest * math.exp(step * number) for number in range(encoding.count)]
    if encoding.kind == "grid":
        for coordinate in place:
            for scale in scales:
                row += [math.sin(coordinate / scale), math.cos(coordinate / scale)]
    else:
        for scale in scales:
            for axis in axes:
                angle = float(np.dot(place, axis)) / scale
                row += [math.sin(angle), math.cos(angle)]
    return np.array(row)


@pytest.mark.parametrize(
    "encoding",
    [Sinusoids("grid", 8, 1e-3, 360), Sinusoids("theory", 8, 1e-2, 1), Sinusoids("theory", 4, 0.1, 2, True)],
)
def test_csp_s_encodings_are_their_formulas(encoding):
    got = encoding.of(torch.from_numpy(PLACES)).numpy()
    expected = np.stack([slow_sinusoids(encoding, place) for place in PLACES])
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["gridcell", "theory", "theorynorm"])
def test_a_csp_checkpoint_reads_back(tmp_path, kind):
    encoding = Sinusoids("grid" if kind == "gridcell" else "theory", 8, 1e-2, 360, kind == "theorynorm")
    model = Csp(encoding, (24, 24), 10, activation="gelu")
    state = {}
    for name, value in model.state_dict().items():
        state[f"loc_enc.spa_enc.ffn.{name}"] = state[f"spa_enc.ffn.{name}"] = value
    state["class_emb.weight"] = torch.zeros(3, 10)
    settings = {
        "spa_enc_type": kind,
        "frequency_num": 8,
        "min_radius": 1e-2,
        "max_radius": 360,
        "spa_f_act": "gelu",
        "use_layn": True,
        "skip_connection": True,
        "freq_init": "geometric",
    }
    loaded = load_location_encoder(written(tmp_path, {"state_dict": state, "params": settings}))
    assert (loaded.name, loaded.dim) == ("csp", 10)
    same(loaded, model)
    with pytest.raises(EncoderError, match="does not fit one"):
        load_location_encoder(written(tmp_path, {"state_dict": state}))


class Code:
    def __reduce__(self):
        return (print, ("run",))


def test_bad_files_are_refused(tmp_path, capsys):
    with pytest.raises(EncoderError, match="no file called 'nowhere'"):
        load_location_encoder("nowhere")
    with pytest.raises(EncoderError, match="weights alone"):
        load_location_encoder(written(tmp_path, {"state_dict": {}, "code": Code()}))
    assert "run" not in capsys.readouterr().out
    with pytest.raises(EncoderError, match="no location encoder"):
        load_location_encoder(written(tmp_path, {"visual.conv1.weight": torch.zeros(3)}))
    with pytest.raises(EncoderError, match="no checkpoint"):
        load_location_encoder(written(tmp_path, [1, 2]))
    whole = written(tmp_path, {"nnet.layers.0.weight": torch.zeros(4, 99)})
    with pytest.raises(EncoderError, match="99 inputs"):
        load_location_encoder(whole)
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(EncoderError, match="cannot be read"):
        load_location_encoder(whole)


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(loading, "_PACKAGE", "geoclip-is-not-installed")
    with pytest.raises(MissingDependency, match="pip install --no-deps geoclip"):
        load_location_encoder("geoclip-is-not-installed")


@pytest.mark.parametrize(
    "places", [[(51.9, 104.5)], [(0, math.nan)], [(1, 2, 3)], (4.5, 51.9), [(math.inf, 0)]]
)
def test_bad_places_are_refused(tmp_path, places):
    model = SatClip(3, width=4, layers=1, dim=4)
    state = {f"nnet.{name}": value for name, value in model.state_dict().items()}
    with pytest.raises(UsageError, match="longitude"):
        load_location_encoder(written(tmp_path, state)).encode(places)
