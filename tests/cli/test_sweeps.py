"""What the options of `run` become: the sweeps that are measured."""

from profcore.cli.parser import parse
from profcore.cli.sweeps import plan_sweeps
from profcore.data_sets import DataSet, read_data_set
from profcore.models.config import model_shape


def test_of_all_knobs_quality_is_recorded_of_those_that_it_follows():
    queries = read_data_set(DataSet("shapes", limit=2))
    options = parse(["run", "all", "--model", "tiny", "--quality", "--data-set", "shapes"])
    judged = {sweep.experiment: sweep.quality for sweep in plan_sweeps(options, queries, model_shape("tiny"))}
    followed = {"moe_topk": queries, "transformer_blocks_mask": queries}
    assert judged == {**followed, "context_scaling": None, "output_tokens": None}
