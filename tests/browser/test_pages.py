"""The report in a real browser: nothing is fetched or complained of, views are linked, numbers are the library's, and everybody can use it."""

import json
import re

import numpy as np
import pytest

import retime as rt

HOSTILE = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>'
AXE = "async () => (await axe.run()).violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | '))"


def flip_flop_of_400():
    """As large as the published flip-flop: eight memories in three directions of 400 tanh units."""
    g = np.random.default_rng(0)
    U, _ = np.linalg.qr(g.normal(size=(400, 3)))
    return rt.TanhRNN(1.6 * 400 * (U @ U.T) / 400, U * 3, np.zeros(400), readout=(U.T, np.zeros(3)))


def networks():
    """The kinds of network that a page is made for: name -> network, start, options of the report."""
    g = np.random.default_rng(3)
    lorenz, vanderpol = rt.zoo.entry("lorenz"), rt.zoo.entry("vanderpol")
    spiral = rt.LinearSystem([[0.98, -0.15], [0.15, 0.98]], [0.1, 0.0], [[1.0], [0.0]], time=rt.Discrete(0.1))
    rock = rt.ContinuousPLRNN([-1.0] * 3, [[0, 2.5, -3], [-3, 0, 2.5], [2.5, -3, 0]], [1.0] * 3)
    gru = rt.GRU(1.4 * g.normal(size=(24, 8)), g.normal(size=(24, 2)), 0.3 * g.normal(size=24), np.zeros(24))
    return {
        "lorenz": (lorenz.model, lorenz.z0, {"labels": ["x", "y", "z"]}),
        "vanderpol": (vanderpol.model, vanderpol.z0, {}),
        "flip_flop": (flip_flop_of_400(), 0.1 * g.normal(size=400), {}),
        "gru": (gru, None, {}),
        "linear": (spiral, [3.0, 0.0], {}),
        "continuous": (rock, [0.5, 0.1, 0.0], {}),
    }


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """made(name) -> the page of a network and its orbit, made once."""
    folder, known = tmp_path_factory.mktemp("pages"), {}

    def make(name):
        if name not in known:
            model, z0, options = networks()[name]
            limit = 2.0 if name == "flip_flop" else 20.0  # 100 tanh units take all they are given, the others not
            found = rt.analyze(model, z0, steps=1500, max_period=1, time_limit=limit)
            parts = [model, found]
            if model.takes_switching or name in ("lorenz", "vanderpol"):
                parts.append(rt.conversion_report(model, found.orbit.states[0], steps=200))
            known[name] = rt.report(parts, folder / f"{name}.html", title=name, **options), found
        return known[name]

    return make


def middle(page, view):
    """The middle of a view's canvas, in pixels of the page."""
    canvas = page.locator(f"#view-{view} canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box


def place_of(page, state):
    """Where a state of the orbit is drawn, in pixels of the page."""
    _, _, box = middle(page, "space")
    x, y = page.evaluate("i => [retime.views.space.px[i], retime.views.space.py[i]]", state)
    return box["x"] + x, box["y"] + y


def test_a_page_opens_without_complaint_and_its_numbers_are_the_librarys(tmp_path, visit):
    model = rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2], time=rt.Discrete(0.1))
    orbit = rt.simulate(model, [0.3, 0.1], steps=60)
    page = visit(rt.report([model, orbit, rt.find_fixed_points(model)], tmp_path / "page.html"))
    np.testing.assert_allclose(page.evaluate("Array.from(retime.orbit('z1'))"), orbit.states[:, 0], rtol=0, atol=1e-11)
    run = page.evaluate("Array.from(retime.live.network.run(Float64Array.from([0.3, 0.1]), 60), z => Array.from(z))")
    np.testing.assert_allclose(run, orbit.states, rtol=0, atol=1e-12)
    assert page.evaluate("Object.keys(retime.views)") == ["space", "plane", "graph", "series", "live"]


@pytest.mark.slow
@pytest.mark.parametrize("name", networks())
def test_every_kind_of_network_in_both_themes_and_on_a_phone(name, made, visit, modules, pictures):
    path, found = made(name)
    assert path.stat().st_size < 1_000_000
    axe = (modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    for scheme in ("light", "dark"):
        page = visit(path, color_scheme=scheme)
        page.evaluate(axe)
        assert page.evaluate(AXE) == [], scheme
        page.screenshot(path=pictures / f"{name}-{scheme}.png", full_page=True)
    phone = visit(path, width=400)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 400
    phone.screenshot(path=pictures / f"{name}-phone.png", full_page=True)
    first = phone.evaluate(
        "[retime.axes[retime.first[0]].kind, retime.axes[retime.first[0]].index, Array.from(retime.values(retime.first[0]))]"
    )
    want = {"output": found.orbit.outputs, "state": found.orbit.states}.get(first[0])
    if want is not None:
        np.testing.assert_allclose(first[2], want[:, first[1]], rtol=0, atol=1e-9 * max(1.0, np.ptp(want)))
    assert name == "flip_flop" or phone.evaluate("retime.live !== null")


@pytest.mark.slow
def test_what_is_chosen_in_one_view_is_lit_in_all(made, visit):
    page = visit(made("lorenz")[0])
    chosen = lambda: page.evaluate("retime.selection.chosen")  # noqa: E731
    lit = lambda: page.evaluate("Array.from({length: retime.count}, (_, i) => i).filter(i => retime.selection.lit(i))")  # noqa: E731
    x, y, box = middle(page, "series")
    page.mouse.move(x - 100, y)
    page.mouse.down()
    page.mouse.move(x + 50, y, steps=5)
    page.mouse.up()
    window = chosen()["window"]
    scale = (box["width"] - 72) / (page.evaluate("retime.count") - 1)
    assert abs((window[1] - window[0]) - 150 / scale) <= 2
    assert lit() == list(range(window[0], window[1] + 1))
    assert "states" in page.locator("#space-status").inner_text()
    page.keyboard.press("Escape")
    assert chosen()["window"] is None

    place = page.evaluate("retime.views.graph.pixels[2]")
    _, _, box = middle(page, "graph")
    page.mouse.click(box["x"] + place[0], box["y"] + place[1])
    assert chosen()["region"] == 2
    regions = page.evaluate("Array.from(retime.regions)")
    assert lit() == [i for i, r in enumerate(regions) if r == 2]
    page.keyboard.press("Escape")

    page.locator("#points-table tbody tr").nth(1).click()
    assert chosen()["point"] == 1
    assert page.locator("#view-plane select").evaluate("x => x.selectedIndex") == 1
    page.locator("#view-plane select").select_option(index=0)
    assert chosen()["point"] == 0
    assert "chosen" in page.locator("#points-table tbody tr").nth(0).get_attribute("class")
    page.keyboard.press("Escape")

    page.mouse.move(*place_of(page, 700))
    state = chosen()["hover"]
    assert state >= 0
    assert f"region {regions[state] + 1}" in page.locator("#space-status").inner_text()
    assert f"region {regions[state] + 1}:" in page.locator("#graph-status").inner_text() or regions[state] >= 40


@pytest.mark.slow
def test_an_orbit_starts_where_one_clicks_and_follows_the_drag_and_the_slider(made, visit):
    path, found = made("vanderpol")
    page = visit(path)
    page.evaluate(
        "Object.assign(retime.views.space, {shown: retime.first.slice(0, 2)}); retime.views.space.frame(); retime.views.space.now()"
    )
    page.mouse.click(*place_of(page, 400))
    state = page.evaluate("retime.selection.chosen.hover")
    start = page.evaluate("Array.from(retime.live.start)")
    np.testing.assert_allclose(start, found.orbit.states[state], rtol=0, atol=1e-9)
    model = networks()["vanderpol"][0]
    path_ = page.evaluate("retime.live.path.map(z => Array.from(z))")
    np.testing.assert_allclose(path_, rt.simulate(model, start, steps=200).states, rtol=0, atol=1e-9)
    assert page.evaluate("retime.live.flow.filter(x => x !== null).length") > 100

    grip = page.evaluate("retime.views.space.grip")
    _, _, box = middle(page, "space")
    page.mouse.move(box["x"] + grip[0], box["y"] + grip[1])
    page.mouse.down()
    page.mouse.move(box["x"] + grip[0] + 40, box["y"] + grip[1] - 25, steps=4)
    page.mouse.up()
    page.evaluate("retime.views.space.now()")
    moved = page.evaluate("retime.views.space.grip")
    np.testing.assert_allclose(np.subtract(moved, grip), [40, -25], atol=1.0)

    before = page.evaluate("retime.live.network.p.h1.data[0]")
    page.locator("#view-live .group select").select_option(label="h")
    page.locator("#view-live input[aria-label=value]").evaluate(
        "x => { x.value = Number(x.value) + 0.05; x.dispatchEvent(new Event('input')) }"
    )
    h = np.array(model.h)
    h[0] = page.evaluate("retime.live.network.p.h1.data[0]")
    assert h[0] == pytest.approx(before + 0.05)
    changed = rt.find_fixed_points(model.with_weights({"h": h}))
    followed = page.evaluate("retime.live.followed.map(p => p && [Array.from(p.state), p.stable])")
    assert len(followed) == 1
    apart = np.abs(changed.points - followed[0][0]).max(axis=1)
    assert apart.min() < 1e-8
    assert followed[0][1] == bool(changed.stable[np.argmin(apart)])
    page.get_by_role("button", name="reset").click()
    assert page.evaluate("retime.live.network.p.h1.data[0]") == before
    assert page.evaluate("retime.live.followed") is None


@pytest.mark.slow
def test_an_input_and_a_step_are_changed_by_sliders(made, visit):
    page = visit(made("gru")[0])
    page.locator("#view-live input[aria-label=of]").evaluate(
        "x => { x.value = 0.75; x.dispatchEvent(new Event('input')) }"
    )
    model = networks()["gru"][0]
    got = page.evaluate("Array.from(retime.live.path[1])")
    start = np.array(page.evaluate("Array.from(retime.live.path[0])"))
    np.testing.assert_allclose(got, model.step(start, [0.75, 0.0]), atol=1e-12)
    page.get_by_role("slider", name="share of a step").evaluate(
        "x => { x.value = 0.5; x.dispatchEvent(new Event('input')) }"
    )
    got = page.evaluate("Array.from(retime.live.path[1])")
    np.testing.assert_allclose(got, (start + model.step(start, [0.75, 0.0])) / 2, atol=1e-12)


@pytest.mark.slow
def test_the_keyboard_reaches_and_works_everything(made, visit):
    page = visit(made("lorenz")[0])
    reached, focus = (
        set(),
        "(document.activeElement.closest('section') || document.activeElement).id + ' ' + document.activeElement.tagName",
    )
    for _ in range(150):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(focus))
        if "certificate DIV" in reached:
            break
    views = page.evaluate("Object.keys(retime.views)")
    assert {f"view-{v} CANVAS" for v in views} <= reached
    assert {"view-space SELECT", "view-live INPUT", "points BUTTON"} <= reached
    camera = "retime.views.space.camera[0].map(x => x.toFixed(6)).join()"
    before = page.evaluate(camera)
    page.locator("#view-space canvas").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(camera) != before
    page.keyboard.press(".")
    page.keyboard.press("Enter")
    assert page.evaluate("retime.live.isShown")
    page.locator("#view-graph canvas").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("retime.selection.chosen.region") == 0
    page.locator("#view-series canvas").focus()
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("retime.selection.chosen.window") is not None
    page.locator("#view-plane canvas").focus()
    page.keyboard.press("ArrowDown")
    assert "modulus" in page.locator("#plane-status").inner_text() or page.evaluate("retime.views.plane.pointed") == 0


@pytest.mark.slow
def test_views_are_saved_as_tables_and_pictures(made, visit):
    path, found = made("lorenz")
    page = visit(path)

    def saved(name):
        with page.expect_download() as info:
            page.get_by_role("button", name=name, exact=True).click()
        return info.value.path().read_bytes()

    rows = np.genfromtxt(saved("Time series as CSV").decode().splitlines(), delimiter=",", names=True)
    np.testing.assert_allclose(rows["z"], found.orbit.outputs[:, 2], atol=1e-9)
    np.testing.assert_allclose(rows["time"], found.orbit.times, atol=1e-9)
    svg = saved("State space as SVG").decode()
    assert svg.startswith("<svg ")
    assert svg.count("<path") > 10
    assert saved("Multipliers as PNG")[:4] == b"\x89PNG"
    data = json.loads(saved("all numbers (JSON)"))
    assert len(data["points"]) == 3
    assert data["about"]["retime"] == rt.__version__


@pytest.mark.slow
def test_without_javascript_the_tables_and_words_are_there(made, visit, pictures):
    page = visit(made("lorenz")[0], ready=False, java_script_enabled=False)
    text = page.locator("body").inner_text()
    for wanted in ("What it does", "chaotic", "Fixed points", "Certificates", "Lyapunov exponents", "need JavaScript"):
        assert wanted in text
    assert page.locator("#points-table tbody tr").count() == 3
    assert not page.locator("#views").is_visible()
    assert page.locator("noscript svg").count() == 2


@pytest.mark.slow
def test_it_is_printed_in_light_colours_with_everything_unfolded(made, visit):
    page = visit(made("lorenz")[0], color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("retime.views.space.colors.card") == "#ffffff"
    assert not page.locator("#tools").is_visible()
    assert page.locator("#regions table").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.locator("#regions table").is_visible()


@pytest.mark.slow
def test_hostile_names_and_weights_do_nothing(tmp_path, visit):
    model = rt.PLRNN([0.5, 0.1], [[0.0, -1e300], [0.1, 0.0]], [0.5, 1e300], readout=(np.eye(2), np.zeros(2)))
    line = f"{HOSTILE}\u2028"
    path = rt.report(
        model,
        tmp_path / "x.html",
        title=line,
        about=line,
        labels=[HOSTILE, "\u2029&amp;"],
        command=line,
        z0=[0.3, 0.1],
        time_limit=2,
    )
    text = path.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert not re.search(r"\bon\w+=", re.sub(r"<script.*?</script>", "", text, flags=re.S).replace("onerror=alert", ""))
    page = visit(path)
    assert page.title() == line.replace("\u2028", "\u2028")
    assert page.locator("h1").inner_text().startswith(HOSTILE[:20])
    assert page.evaluate("document.images.length") == 0


@pytest.mark.slow
def test_a_long_orbit_is_thinned_and_says_so(tmp_path, visit):
    model = rt.zoo.load("lorenz")
    orbit = rt.simulate(model, rt.zoo.entry("lorenz").z0, steps=200_000)
    path = rt.report([model, orbit], tmp_path / "long.html")
    assert path.stat().st_size < 2_000_000
    page = visit(path)
    every, drawn = page.evaluate("[retime.every, retime.count]")
    assert every == 17
    assert drawn == -(-200_001 // 17)
    assert "every 17th of 200001 states is drawn" in page.locator("#space-status").inner_text()
    np.testing.assert_allclose(page.evaluate("Array.from(retime.orbit('x1'))"), orbit.outputs[::17, 0], atol=1e-9)
