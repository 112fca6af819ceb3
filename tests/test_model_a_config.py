import pytest
import yaml
from model_a.config import DEFAULTS, batch_inputs, check_config, load_config, parse_yaml, read_yaml
from model_a.errors import BadInput
from model_a.features import stat_names

from tensorcache.key import make_key

TINY = DEFAULTS.with_name("tiny.yaml")
# One row a field that the builder reads: the input, and a setting that changes it.
CHANGES = [
    ("listmle_target", "training.listmle_target=null"),
    ("listmle_target", "training.listmle_target=playoff_outcome"),
    ("rolling_windows", "training.rolling_windows=[15, 30]"),
    ("rolling_windows", "training.rolling_windows=[30, 10]"),
    ("train_seasons", "training.train_seasons=[2015-16, 2016-17, 2017-18, 2018-19, 2019-20]"),
    ("test_seasons", "training.test_seasons=[2024-25]"),
    ("train_test_cutoff", "training.train_test_cutoff=2020-01-01"),
    ("train_frac", "training.train_frac=0.8"),
    ("max_list_dates", "training.max_list_dates=100"),
    ("max_list_dates", "training.max_list_dates=null"),
    ("max_lists_oof", "training.max_lists_oof=100"),
    ("max_final_batches", "training.max_final_batches=100"),
    ("n_folds", "training.n_folds=4"),
    ("roster_size", "training.roster_size=12"),
    ("use_prior_season_baseline", "training.use_prior_season_baseline=false"),
    ("prior_season_lookback_days", "training.prior_season_lookback_days=400"),
    ("stat_dim", "training.rolling_windows=[10, 20, 30]"),
    ("num_embeddings", "model_a.num_embeddings=1000"),
    ("seasons", "seasons.2014-15.end=2015-04-14"),
    ("seasons", "seasons.2014-15.start=2014-10-29"),
    ("seasons", "seasons.2014-15=null"),
]
CHANGES_NOTHING = [
    (
        "training.train_seasons=[2022-23, 2015-16, 2020-21, 2019-20, 2018-19, 2017-18, 2016-17, "
        "2021-22]"
    ),
    "training.test_seasons=[2024-25, 2023-24]",
    "model_a.stat_dim=24",
    "model_a.epochs=3",
    "model_a.learning_rate=0.5",
    "model_a.dropout=0.0",
    "model_a.embedding_dim=16",
    "model_a.encoder_hidden=[8]",
    "model_a.attention_heads=8",
    "model_a.minutes_bias_weight=0.0",
    "model_a.n_seeds=3",
    "model_a.use_standings=false",
    "model_a.loss=listmle",
    "model_a.loss_tau=0.5",
    "model_a.loss_warmup_epochs=5",
    "model_a.roster_loss_weight=0.0",
    "model_a.weight_decay=0.01",
    "model_a.lists_per_step=2",
    "model_a.grad_clip_max_norm=1.0",
    "model_a.early_stopping_patience=4",
    "model_a.early_stopping_min_delta=0.1",
    "model_a.early_stopping_val_frac=0.5",
    "repro.seed=1",
    "repro.threads=2",
    "repro.device=cpu",
    "outputs.figures=false",
    "outputs.score_test=false",
    "paths.outputs=elsewhere",
    "paths.db=moved.sqlite",
    "paths.batch_cache=elsewhere",
]
REFUSED = [
    ("training.n_fold=3", "training.n_fold: no such key: did you mean n_folds?"),
    ("surprise=1", "surprise: no such key: it takes paths, repro"),
    ("seasons.2014-15.begin=2014-01-01", "seasons.2014-15.begin: no such key: it takes start, end"),
    ("training.n_folds=five", "training.n_folds: 'five' is not allowed"),
    ("training.n_folds=2.0", "training.n_folds: 2.0 is not allowed"),
    ("model_a.epochs=true", "model_a.epochs: True is not allowed"),
    (
        "model_a.loss=mse",
        "model_a.loss: 'mse' is not allowed: it must be 'listmle' or 'spearman_surrogate'",
    ),
    ("outputs.figures=1", "outputs.figures: 1 is not allowed"),
    ("model_a.learning_rate=fast", "model_a.learning_rate: 'fast' is not allowed"),
    ("model_a.learning_rate=.nan", "model_a.learning_rate: nan is not allowed"),
    ("training.use_prior_season_baseline=1", "training.use_prior_season_baseline: 1 is not"),
    ("training.rolling_windows=[]", "training.rolling_windows: [] is empty"),
    ("training.rolling_windows=[10, 0]", "training.rolling_windows.1: 0 is not allowed"),
    ("training.rolling_windows=[10, 10]", "names something twice"),
    ("training.listmle_target=rank", "'final_rank' or 'playoff_outcome'"),
    ("training.test_seasons=[2022-23]", "['2022-23'] both trains and tests"),
    ("training.test_seasons=[2030-31]", "'2030-31' is not in seasons"),
    ("training.train_seasons=null", "train_seasons and test_seasons go together"),
    ("training.n_folds=9", "9 folds of whole seasons need as many train_seasons, there are 8"),
    ("seasons.2014-15.end=2014-10-01", "seasons.2014-15: is empty"),
    ("seasons.2014-15.end=2015-12-01", "'2014-15' ends on 2015-12-01, after '2015-16' starts"),
    ("seasons.2014-15.start=autumn", "seasons.2014-15.start: 'autumn' is not allowed"),
    (
        "model_a.stat_dim=21",
        "model_a.stat_dim: 21 is not what rolling_windows [10, 30] give: write 24",
    ),
    ("model_a.attention_heads=5", "attention_heads 5 does not divide"),
    ("paths.batch_cache=true", "paths.batch_cache: True is no directory"),
    ("training.n_folds", "not of the form key.path=value"),
    ("=3", "--set '=3': not of the form key.path=value"),
    ("model_a.=3", "not of the form key.path=value"),
    ("model_a=3", "model_a: 3 is not allowed: it holds keys, write model_a.KEY"),
    ("seasons=3", "seasons: 3 is not allowed: it holds keys"),
    ("training.n_folds=[", "not readable as YAML: expected the node content"),
    ("training.n_folds=\0", "not readable as YAML: special characters are not allowed"),
]


def key(*settings):
    inputs = batch_inputs(load_config([], settings))
    return make_key(inputs, version="hand:1", sources={}, namespace="model_a.batches").digest


@pytest.mark.parametrize(("name", "setting"), CHANGES)
def test_what_the_builder_reads_changes_the_key(name, setting):
    before, after = batch_inputs(load_config([])), batch_inputs(load_config([], [setting]))

    assert before[name] != after[name]
    assert key() != key(setting)


@pytest.mark.parametrize("setting", CHANGES_NOTHING)
def test_what_only_training_reads_does_not_change_the_key(setting):
    assert key() == key(setting)


def test_every_input_and_every_field_has_a_row():
    named = {name for name, _ in CHANGES}
    fields = {
        f"{section}.{field}"
        for section, values in read_yaml(DEFAULTS).items()
        for field in values
        if section != "seasons"
    }
    settings = {setting.partition("=")[0] for setting in [s for _, s in CHANGES] + CHANGES_NOTHING}

    assert named == set(batch_inputs(load_config([])))
    assert fields <= settings


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_wrong_settings_are_refused_in_one_line(setting, message):
    with pytest.raises(BadInput) as refused:
        load_config([], [setting])

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "unicode string" not in str(refused.value)


@pytest.mark.parametrize("section", ["paths", "repro", "training", "model_a", "outputs"])
def test_no_field_has_a_default_in_code(section):
    for field in read_yaml(DEFAULTS)[section]:
        values = read_yaml(DEFAULTS)
        del values[section][field]

        with pytest.raises(BadInput, match=rf"{section}.{field}: missing"):
            check_config(values)


def test_1e_4_is_a_number():
    assert parse_yaml("[1e-4, 1E5, -2.5e+3, .5e1]", "x") == [1e-4, 1e5, -2.5e3, 5.0]
    assert load_config([], ["model_a.learning_rate=1e-4"]).model_a.learning_rate == 1e-4


def test_a_key_that_stands_twice_in_a_file_is_refused(tmp_path):
    (tmp_path / "twice.yaml").write_text("training:\n  n_folds: 3\n  n_folds: 4\n")

    with pytest.raises(BadInput, match="'n_folds' stands twice"):
        load_config([tmp_path / "twice.yaml"])


def test_files_are_merged_in_turn_and_settings_last(tmp_path):
    (tmp_path / "over.yaml").write_text("training: {n_folds: 1}\nmodel_a: {epochs: 7}\n")

    config = load_config([TINY, tmp_path / "over.yaml"], ["model_a.epochs=9"])

    assert (config.training.n_folds, config.training.roster_size, config.model_a.epochs) == (
        1,
        8,
        9,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a\n", "not keys with values"), ("a: [", "not readable as YAML"), (None, "cannot be read")],
)
def test_unreadable_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(BadInput, match=message) as refused:
        load_config([path])

    assert "\n" not in str(refused.value)


def test_a_written_config_reads_as_the_same_config(tmp_path):
    """What a sweep writes for a trial."""
    config = load_config([TINY], ["model_a.learning_rate=1e-5", "training.listmle_target=null"])
    (tmp_path / "full.yaml").write_text(yaml.safe_dump(config.model_dump()))

    assert load_config([tmp_path / "full.yaml"]) == config


@pytest.mark.parametrize("windows", [[10], [10, 30], [5, 15, 40]])
def test_stat_dim_is_what_the_windows_give(windows):
    inputs = batch_inputs(load_config([], [f"training.rolling_windows={windows}"]))

    assert inputs["stat_dim"] == len(stat_names(windows))
