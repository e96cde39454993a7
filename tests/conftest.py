"""Fixtures of all tests; the other modules beside this file serve several of them."""

import os
import re
import signal
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from retime.core.clock import CLOCK
from retime.core.quiet import one_blas_thread

ROOT = Path(__file__).resolve().parents[1]


FIRST = "test_kernels"  # two files that compile everything, one for each worker

SLOW = r"""
test_complete_search.*(_integer_networks_|_powers_of_two_change_nothing\[[136]\])
test_exponents.py.*(_henon|_lorenz|_has_the_logarithms_of_its_moduli)$
test_smooth_flows.*(_is_driven_by_zero|_blow_up_in_finite_time)
test_frameworks.*_keras_network_runs_alike\[(trained-|random-gru > lstm|random-two simple)
test_frameworks.*_torch_network_runs_alike\[float32-1e-06-(random|trained)-tanh\]
test_frameworks.*_and_comes_back\[(two simple|gru > lstm)\]
test_frameworks.*(_adapters_of_a_keras_layer|_that_reads_the_cells_is_refused\[.keras\]|_masking_wrappers_.*keras|_quantized_keras)
test_methods.*_are_kept\[(hopfield|vector_field)\]
test_methods.*(_within_one_region_.*\[(tustin|adams_4|dormand_prince)\]|_one_order_more\[[134]\]|\[adams_3-(hopfield|rate_softplus|vector_field)\])
test_methods.*\[rk4-(rate_softplus|hopfield)\]
test_smooth_families.*\[(rate_softplus|hopfield|lstm)
test_scan.*(_at_three\[coarse\]|_closed_loop_of_equilibria|_at_an_end_is_an_event_of_both\[last\]|_feigins_criterion_|_pitchfork_at_an_end)
test_scan.*(_and_a_pitchfork_at_one\[on a value\])
test_newton.*(_and_its_euler_map_|_stored_patterns_)
test_lyapunov.py.*(_chunks_do_not_matter|_until_then)$
test_lyapunov.py.*_ctrl_c_leaves_what_was_measured
test_analyze.*_under_its_switching_rule
test_side_by_side
test_forked
test_shared_boundaries.*_change_nothing\[shared\]
test_resting_points.*(_twenty_units_do_not_hang|_those_that_orbits_slide_on_|_rest_by_sliding_nowhere)
test_limit_cycles.*(_of_an_integration_with_events|_ends_in_a_raised_region_)
test_interlaced_basins.*_of_henons_map_
test_basins.*(_beside_its_chaos|_is_no_attractor|_and_two_frequencies_do_not)
test_smooth.py.*(_leave_a_trace_|_multistep_method_is_started)
test_reachable_states.*_of_the_search_are_confined
test_compare_smooth.*(_in_the_states_they_share|_at_the_common_times)
test_commands.*_converts_with_json\[lorenz\]
test_starts.*\[(formal log|discretize)\]
test_interchange.*_not_across_a_boundary
test_fixed_points.py.*_search_from_starts_included
test_embeddings.*(_series_does_not_settle|_claims_the_step_and_not_the_solution)
test_time_regressions.*_growth_beyond_1e150
test_kernel.py.*_another_folder_can_be_named
test_cycles.*_an_interrupted_search_
test_algebra.*(_far_map_by_the_formal_logarithm|_multistep_map_is_started)
test_angles.*_pendulum_
test_spectrum_table.*_of_finite_differences\[M1\]
test_methods.*(_embedding_states_the_error_of_its_solution|_where_its_fixed_point_loses_stability)
test_scan.*(_neimark_sacker_|_at_three\[fine\]|_closed_form\[many values\])
test_zoo.*_has_singular_regions_only
test_exponents_of_tables.*\[delayed logistic\]
test_basins.*_while_a_state_switched_flow_is_followed
test_smooth_cycles.*(_published_cycles|_that_repels_|_the_same_seed_|\[2.0-7)
test_uniform_arguments.*(lyapunov_spectrum-tolerance|_its_model_is\[to_torch)
test_motion.*(_a_scan_follows_|_a_stable_cycle)
test_fit.py.*_runs_repeat\[(shallow|dendritic)
test_train.py.*_of_the_model\[(gru|dendritic_plrnn|leaky_rnn)
test_adjoint.*\[(4-0-1|7-3-2-0)
test_continuous.py.*_of_the_simulated_flow_.*\[5-3-2-1
test_train.py.*_goes_on_from_a_model\[(lstm|rate_rnn)
test_exponents_of_tables.*\[tinkerbell\]
test_autonomous.py.*(_a_smooth_map_becomes_|_until_the_tolerance_is_met_)
test_monte_carlo.py.*_vary_as_their_own_curves_do
test_workers.py.*_memory_does_not_grow_
"""
"""Cases beside others of the same statement, and long ones whose parts the default run tests: they run with the slow tests."""


def pytest_configure():
    """Most functions of the tests run once: XLA compiles them in the fastest way that this version of it has."""
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    with suppress(PackageNotFoundError):
        if version("jaxlib").startswith("0.10."):  # another version may end at a flag that it does not know
            os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what `SLOW` names. Both workers compile half of the kernels each; then both find them compiled."""
    slow = re.compile("|".join(SLOW.split("\n")[1:-1]))
    for item in items:
        if slow.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.path.name.startswith(FIRST))


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """One BLAS thread: on small matrices, and beside JAX's own threads, more of them mostly wait for each other."""
    with one_blas_thread():
        yield


@pytest.fixture(autouse=True, scope="session")
def clock_of_work():
    """Limits of time count a third of the work: what else the machine does, which slows every instruction, changes no result."""
    CLOCK.rate = 1 / 3
    yield
    CLOCK.rate = 1.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A KeyboardInterrupt that a test raises itself and the library lets through fails that test; it does not end the run."""
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *given: (pressed.append(1), signal.default_int_handler(*given)))
    try:
        return (yield)
    except KeyboardInterrupt as error:
        if pressed:  # by the person who runs the tests
            raise
        raise AssertionError("The interrupt of this test was not caught.") from error
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    """The one source of random numbers: the same in every run."""
    return np.random.default_rng(20200713)


@pytest.fixture(scope="session")
def data():
    """The folder of published networks beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the published networks (../shared/data) are not here")
    return folder


@pytest.fixture
def no_hang():
    """Fail instead of hanging, after a minute of processor time (kernels return to Python between events)."""

    def stop(*_):
        raise TimeoutError("The call did not return.")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 60)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)
