"""Plan the week's work for machine and time budget by the files' footers, before any download."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import Any

from numerai_kedro.cache import FoldStore
from numerai_kedro.cache.runner import IncrementalParams
from numerai_kedro.compute.machine import GIB, Machine, gpu_memory_gb
from numerai_kedro.compute.plan import (
    BASE_MEMORY_GB,
    CHILD_MEMORY_GB,
    RESERVE_MEMORY_GB,
    ResourcePlan,
    Sampling,
    Step,
    check_disk,
    fit_hours,
    fits_at_once,
    preset_for,
    quickened,
    sampling_of,
    schedule_steps,
)
from numerai_kedro.data.folds import Folds, live_window
from numerai_kedro.errors import ResourceError
from numerai_kedro.features.own_transforms import columns_by_name
from numerai_kedro.files import digest_json
from numerai_kedro.models.registry import ENCODER, family
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.round_info import minutes, too_late_for
from numerai_kedro.numerai.schema import FeatureMetadata
from numerai_kedro.pipelines.ingestion.outlook import (
    History,
    folds_to_be,
    live_fit,
    windows_to_be,
)
from numerai_kedro.pipelines.recipes import planned_recipe, without_stopping
from numerai_kedro.runtime.parameters import (
    BY_MACHINE,
    SWITCHED_OFF,
    EncoderParams,
    FeatureParams,
    GraphParams,
    IngestionParams,
    ModelParams,
    ResourceParams,
)
from numerai_kedro.strict import read_block
from numerai_kedro.training import Cost, Model
from numerai_kedro.training.adaptive import low_fidelity_strength
from numerai_kedro.training.probe import lightgbm_work_per_second
from numerai_kedro.training.recipe import UPDATE_ERAS, Option, Recipe, cost_on
from numerai_kedro.training.transforms import LATENTS
from numerai_kedro.training.tuning.context import (
    Calendar,
    Search,
    TuningParams,
    low_fidelity_option,
    low_fidelity_trial,
)
from numerai_kedro.training.tuning.decide import recipe_at
from numerai_kedro.training.tuning.options import option_of
from numerai_kedro.training.tuning.store import StudyStore
from numerai_kedro.training.windows import windows_of

logger = logging.getLogger(__name__)

ID_BYTES = 24  # of a row's id in a panel of latents
FITS, TRIALS = "{} fits", "{} trials"


def plan(
    tournament: Client,
    feature_metadata: dict[str, Any],
    machine: Machine,
    fold_store: FoldStore,
    study_store: StudyStore,
    params: IngestionParams,
    resources: ResourceParams,
    tuning: TuningParams,
    incremental: IncrementalParams,
    feature_engineering: FeatureParams,
    vae: EncoderParams,
    feature_graph: GraphParams,
    own_transforms: dict[str, str],
    **models: Any,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Decide what each model may use, predict each step's costs, and postpone the rest."""
    metadata = FeatureMetadata.read(feature_metadata)
    metadata.check_target(params.target)
    metadata.check_target(params.paid_target)
    history = History.read(tournament, machine, metadata, params)
    typed = {name: read_block(ModelParams, name, raw) for name, raw in models.items()}
    widest = max(int(preset.get("d_latent", 0)) for preset in vae.presets.values())  # type: ignore[arg-type]
    history = replace(history, derived={LATENTS: widest} | columns_by_name(own_transforms))
    folds, members = folds_to_be(params, history), []
    resources_at_hand = (machine, params, tuning, fold_store, study_store)
    for name, model in typed.items():
        for target in model.all_targets():
            metadata.check_target(target)
        graph = feature_graph if family(name).reads_graph else None
        settings = (feature_engineering, vae, graph, own_transforms)
        engineered_by = model.engineered_by(params.size, *settings)
        windows = windows_to_be(params, history.last_era)
        members.append(
            _plan_model(name, model, history, folds, windows, engineered_by, *resources_at_hand)
        )
    encoder = _plan_encoder(vae, history, folds, *resources_at_hand)
    # The encoder goes first if models learn from its latents; otherwise it matters least.
    with_latents = any(member.latents for member in members)
    planned = [encoder, *members] if with_latents else [*members, encoder]
    # The probe takes seconds, so it runs only if there is work to time.
    to_come = any(model_plan.fit_work + model_plan.trial_work for model_plan in planned)
    speed = lightgbm_work_per_second(machine.cores) if to_come else math.inf
    fits = [model_plan.fits(speed) for model_plan in planned if not model_plan.reason]
    # Fits of all models first, then tuning: a submission needs only the fits.
    steps = [*fits, *(member.trials(speed) for member in members if not member.reason)]
    hours = fit_hours(resources.time_budget_hours, history.data.steps())
    schedule = schedule_steps(steps, hours)
    apart = _apart(members, machine) if resources.hybrid else ()
    resource_plan = ResourcePlan(
        threads=machine.cores,
        apart=apart,
        models={model_plan.name: model_plan.decisions() for model_plan in planned},
        steps=(*history.data.steps(), *steps),
        cuts=tuple(model_plan.sampling.cut for model_plan in planned if model_plan.sampling.cut),
    )
    check_disk(resource_plan.steps, machine, incremental.cache_limit_gb)
    _say(resource_plan, schedule.postponed, resources)
    now = sum(step.seconds for step in resource_plan.steps if step.name not in schedule.postponed)
    hurry = too_late_for(tournament.newest_round(), now)
    if hurry is not None:
        logger.warning("plan: %s", hurry)
    readings = {"machine": machine.readings(), "steps": resource_plan.predictions()}
    return resource_plan.decisions(), readings, schedule.as_json()


def _plan_encoder(
    vae: EncoderParams, history: History, folds: Folds, *resources_at_hand: Any
) -> _Planned:
    """Plan the encoder's fits, and disk for its latents: by era in the store, and as panels."""
    windows = [window.train for window in windows_of(folds).values()]
    model = vae.as_model()
    encoder = _plan_model(
        ENCODER, model, history, without_stopping(folds), windows, {}, *resources_at_hand
    )
    if encoder.reason or not encoder.fit_work:
        return encoder
    a_row = 2 * int(vae.presets[encoder.preset]["d_latent"]) + ID_BYTES  # type: ignore[arg-type]
    newest = sum(window.newest for window in windows_of(folds).values())
    n_rows = history.data.n_rows * newest / history.last_era
    return replace(encoder, disk_gb=encoder.disk_gb + a_row * n_rows / GIB)


def _apart(planned: list[_Planned], machine: Machine) -> tuple[str, ...]:
    """Models that train on the GPU while the others train on the cores, where both fit."""
    running = [model_plan for model_plan in planned if not model_plan.reason]
    on_gpu = [model_plan for model_plan in running if model_plan.device != "cpu"]
    on_cpu = [model_plan for model_plan in running if model_plan.device == "cpu"]
    if not on_gpu or not on_cpu:
        return ()
    both_gb = sum(
        max(model_plan.at_once_gb(model_plan.whole_gb) for model_plan in lane)
        for lane in (on_gpu, on_cpu)
    )
    if BASE_MEMORY_GB + both_gb > machine.memory_gb - RESERVE_MEMORY_GB:
        return ()
    names = tuple(model_plan.name for model_plan in on_gpu)
    logger.info("plan: %s on the GPU while the others train on the cores", ", ".join(names))
    return names


def _say(
    resource_plan: ResourcePlan, postponed: tuple[str, ...], resources: ResourceParams
) -> None:
    for step in resource_plan.steps:
        logger.info(
            "plan: %-15s  memory %5.1f GB  disk %5.1f GB  download %5.1f GB  about %s%s",
            step.name,
            step.memory_gb,
            step.disk_gb,
            step.download_gb,
            minutes(step.seconds),
            " (postponed)" if step.name in postponed else "",
        )
    for cut in resource_plan.cuts:
        logger.warning("plan: cut: %s", cut)
    for decided in resource_plan.models.values():
        if "reason" in decided and decided["reason"] != SWITCHED_OFF:
            logger.warning("plan: %s", decided["reason"])
    if postponed:
        logger.warning(
            "plan: %s wait for a later run: time_budget_hours is %g (parameters_resources.yml)",
            ", ".join(postponed),
            resources.time_budget_hours,
        )


@dataclass(frozen=True)
class _Planned:
    """The plan of one model: decisions, and the work still to do.

    Parameters
    ----------
    reason
        Why it does not run; empty where it does.
    engineered_by
        Digest of the feature engineering parameters that its fits depend on; empty for none.
    latents
        Whether a fit learns from latents, as the user asked or a study adopted.
    at_once
        How many fits are made at the same time.
    whole_gb
        Memory of a fit on all of history.
    memory_gb
        Memory of the largest fit still to come.
    """

    name: str
    asked: dict[str, Any]
    sampling: Sampling = field(default_factory=lambda: Sampling(1, 1))
    device: str = "cpu"
    preset: str = ""
    reason: str = ""
    engineered_by: str = ""
    latents: bool = False
    at_once: int = 1
    whole_gb: float = 0.0
    memory_gb: float = 0.0
    disk_gb: float = 0.0
    fit_work: float = 0.0
    trial_memory_gb: float = 0.0
    trial_work: float = 0.0

    def decisions(self) -> dict[str, Any]:
        """What the plan tells its nodes."""
        if self.reason:
            return {"reason": self.reason, "asked": self.asked}
        return {
            "era_stride": self.sampling.era_stride,
            "n_offsets": self.sampling.n_offsets,
            "device": self.device,
            "at_once": self.at_once,
            "preset": self.preset,
            "engineered_by": self.engineered_by,
            "asked": self.asked,
        }

    def at_once_gb(self, a_fit_gb: float) -> float:
        """Memory of fits that are made at the same time, beside this process."""
        return a_fit_gb if self.at_once == 1 else self.at_once * (CHILD_MEMORY_GB + a_fit_gb)

    def fits(self, speed: float) -> Step:
        """The step of folds and live fit."""
        memory = BASE_MEMORY_GB + self.at_once_gb(self.memory_gb) if self.fit_work else 0.0
        return Step(
            FITS.format(self.name), memory, self.disk_gb, seconds=_seconds(self.fit_work, speed)
        )

    def trials(self, speed: float) -> Step:
        """The step of the study."""
        memory = BASE_MEMORY_GB + self.at_once_gb(self.trial_memory_gb) if self.trial_work else 0.0
        return Step(
            TRIALS.format(self.name),
            memory,
            seconds=_seconds(self.trial_work, speed),
            after=FITS.format(self.name),
        )


def _plan_model(
    name: str,
    model: ModelParams,
    history: History,
    folds: Folds,
    windows: list[tuple[int, int]],
    engineered_by: dict[str, Any],
    machine: Machine,
    params: IngestionParams,
    tuning: TuningParams,
    store: FoldStore,
    studies: StudyStore,
) -> _Planned:
    if not model.enabled:
        return _Planned(name, model.sampling(), reason=SWITCHED_OFF)
    kind = family(name)
    device = device_of(name, kind, model.device)
    preset = model.preset
    if preset == BY_MACHINE:
        preset = preset_for(device, gpu_memory_gb() if device != "cpu" else 0.0)
        logger.info("plan: %s: preset %s, chosen for this machine", name, preset)
    chosen = model.chosen(kind.params_type, name, preset)
    n_rows, n_features = history.data.n_rows, history.n_columns(model.features)
    configured = Sampling(model.era_stride, min(model.n_offsets, model.era_stride))
    try:
        sampling = sampling_of(
            name,
            lambda stride: cost_on(device, kind, chosen, n_rows // stride, n_features).memory_gb,
            configured,
            machine,
        )
    except ResourceError as error:
        return _Planned(name, model.sampling(), reason=str(error))
    engineered_digest = digest_json(engineered_by) if engineered_by else ""
    model_plan = _Planned(
        name, model.sampling(), sampling, device, preset, engineered_by=engineered_digest
    )
    recipe = planned_recipe(name, folds, model_plan.decisions(), machine.cores, model)
    n_trials = model.trials(params.size)
    presets = model.all_presets(kind.params_type, name, preset) if n_trials else {}
    search = Search(recipe, presets, model.space, n_trials, model.options_at(params.size))
    decisions = studies.noted(search.plan_key(tuning)) if n_trials else []
    fits = [
        cost
        for eras in windows
        for cost in _fits_to_come(recipe, decisions, eras, history, params, tuning, store)
    ]
    trials = _trials_to_come(search, decisions, history, params, tuning)
    used = [model.features, *(option_of(decision).features or () for decision in decisions)]
    newest = recipe_at(recipe, decisions, history.last_era + 1) if decisions else recipe
    whole = history.cost(newest, (1, history.last_era))
    at_once = 1
    if kind.one_core and device == "cpu":
        at_once = fits_at_once(whole.work, whole.memory_gb, len(windows), machine)
    if at_once > 1:
        logger.info("plan: %s: %d fits at once, a core each", name, at_once)
    return replace(
        model_plan,
        latents=any(LATENTS in transforms for transforms in used),
        at_once=at_once,
        whole_gb=whole.memory_gb,
        memory_gb=max((cost.memory_gb for cost in fits), default=0.0),
        disk_gb=sum(cost.disk_gb + cost.bins_gb for cost in fits),
        fit_work=sum(cost.work for cost in fits) / quickened(len(fits), at_once),
        trial_memory_gb=max((cost.memory_gb for cost in trials), default=0.0),
        trial_work=sum(cost.work for cost in trials) / quickened(len(folds.validation), at_once),
    )


def _fits_to_come(
    base_recipe: Recipe,
    decisions: list[dict[str, Any]],
    eras: tuple[int, int],
    history: History,
    params: IngestionParams,
    tuning: TuningParams,
    store: FoldStore,
) -> list[Cost]:
    """Costs of one window's fits that are not stored yet, by the parameters effective there."""
    effective_from = eras[1] + params.purge_eras + 1
    recipe = recipe_at(base_recipe, decisions, effective_from) if decisions else base_recipe
    if recipe.update != "none" and eras == live_fit(params, history.last_era):
        eras, _ = live_window(folds_to_be(params, history), recipe.update_every)
    keys = recipe.plan_keys(eras, history.features)
    fits = [history.cost(recipe, eras) for key in keys if store.find(key) is None]
    if recipe.update != "none" and fits:
        n_updates = params.borders.test_fold_eras // recipe.update_every
        fits += [history.cost(recipe, (1, UPDATE_ERAS))] * n_updates * len(fits)
    if recipe.adaptive and fits:
        fits += _rungs(recipe, eras, history, tuning)
    return fits


def _rungs(
    recipe: Recipe, eras: tuple[int, int], history: History, tuning: TuningParams
) -> list[Cost]:
    cheap = low_fidelity_strength(recipe, recipe.params.strength, tuning.adaptive)
    return [history.cost(cheap, eras)] * tuning.adaptive.rungs


def _trials_to_come(
    search: Search,
    decisions: list[dict[str, Any]],
    history: History,
    params: IngestionParams,
    tuning: TuningParams,
) -> list[Cost]:
    """Costs of a study's fits, if one is due."""
    calendar = Calendar(folds_to_be(params, history))
    due = not decisions or calendar.is_due(decisions[-1], tuning.retune_weeks)
    if not search.n_trials or not due:
        return []
    first_era = calendar.next_fold_begin() if decisions else params.borders.test_begin
    fits = []
    for fold in calendar.validation_folds(first_era):
        cheap = low_fidelity_trial(search.recipe, search.recipe.params, tuning)
        fits += [history.cost(cheap, fold.train)] * search.n_trials
        for option in (Option(), *search.options.values()) if search.options else ():
            recipe = search.recipe.with_option(option)
            members = len(list(recipe.members()))
            fits += [history.cost(low_fidelity_option(recipe, tuning), fold.train)] * members
            if recipe.adaptive:
                fits += _rungs(recipe, fold.train, history, tuning)
    return fits


def device_of(name: str, kind: type[Model], asked: str) -> str:
    """The device of fits: as asked; by ``auto`` a GPU, if library and machine have one."""
    if asked != "auto":
        return asked
    try:
        on_gpu = kind.has_gpu()
    except (ImportError, OSError) as error:  # the fit will be an outcome that says so
        logger.warning("plan: %s cannot be loaded: %s", name, error)
        return "cpu"
    where = "GPU" if on_gpu else "CPU: it finds no usable GPU"
    logger.info("plan: %s fits on the %s (device: auto)", name, where)
    return "cuda" if on_gpu else "cpu"


def _seconds(work: float, speed: float) -> float:
    return work / speed if work else 0.0
