"""About how long a sweep takes: from what earlier runs took, and from the latency model of a joint run like it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from profcore.errors import UserError
from profcore.experiments.knobs import JOINT
from profcore.results.duration import sweep_duration
from profcore.spec.stages import State
from profcore.tradeoff.duration import predicted_totals
from profcore.tradeoff.latency_model import fit_latency_model
from profcore.tradeoff.points import load_joint_points

if TYPE_CHECKING:
    import numpy as np

    from profcore.service.results import Results
    from profcore.service.shared import Shared
    from profcore.spec.runs import Sweep, Target
    from profcore.storage.read import Reader
    from profcore.tradeoff.latency_model import LatencyModel

Alike = tuple[str, str, str, str | None]
"""Device, model, engine and dtype, which is None for any."""

# For how long what earlier runs took serves, while another is measured.
_EARLIER_S = 30.0


class Durations:
    """Estimates from what a store holds."""

    def __init__(self, store: Reader, shared: Shared, results: Results) -> None:
        """Begin with nothing worked out.

        Args:
            store: What earlier runs took.
            shared: Keeps that for all who ask.
            results: Keeps latency models.
        """
        self._store, self._shared, self._results = store, shared, results

    def seconds(self, device: str, target: Target, sweep: Sweep) -> float | None:
        """About how many seconds a sweep takes; None where nothing alike was measured.

        Args:
            device: The name of the target's card or processor.
            target: What is measured, and how.
            sweep: What is asked of it.
        """
        store = self._store
        alike = (device, target.model, target.engine, None if target.dtype == "auto" else target.dtype)
        # A run that has ended counts at once.
        ended = self._shared.get(("ended",), lambda: len(store.ids(state for state in State if state.ended)))
        earlier, overheads, model = self._shared.get(
            ("earlier", *alike, ended),
            lambda: (store.timings(*alike), store.overheads(*alike), self._model(alike)),
            _EARLIER_S,
        )
        predicted: np.ndarray | None = predicted_totals(model, sweep.settings) if model and not sweep.plan else None
        return sweep_duration(sweep, earlier, overheads, predicted)

    def _model(self, alike: Alike) -> LatencyModel | None:
        """The latency model of the first joint run under the same conditions that has one."""
        for run_id in self._store.ranked(JOINT.name):
            if self._is_of(run_id, alike):
                found = self._results.follows(("model or none",), [run_id], partial(self._model_if_any, run_id))
                if found:
                    return found
        return None

    def _is_of(self, run_id: str, alike: Alike) -> bool:
        environment = (self._store.run(run_id) or {}).get("environment") or {}
        found = [environment.get(name) for name in ("device_name", "model", "engine", "dtype")]
        return all(wanted in (None, there) for wanted, there in zip(alike, found, strict=True))

    def _model_if_any(self, run_id: str) -> LatencyModel | None:
        try:
            return fit_latency_model(load_joint_points(self._store, run_id))
        except UserError:
            return None
