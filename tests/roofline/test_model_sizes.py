"""How large named models are, beside a device's memory."""

from profcore.models.config import PRESETS, model_shape
from profcore.models.families.catalogue import ENTRIES
from profcore.models.names import NAMED
from profcore.roofline.model_sizes import display_sizes, named_sizes, size_of, size_words, stored_dtype, too_large


def test_molmoe_by_its_formulas_and_others_as_counted():
    molmoe = size_of("molmoe-1b", PRESETS["molmoe-1b"])
    assert (round(molmoe.parameters / 1e9, 2), round(molmoe.active / 1e9, 2)) == (7.22, 1.58)
    qwen = size_of("qwen3-vl-30b-a3b", model_shape("qwen3-vl-30b-a3b"))
    assert qwen.parameters == ENTRIES["qwen3-vl-30b-a3b"].parameters.total
    assert qwen.memory_bytes("bfloat16") == 2 * qwen.parameters


def test_every_name_is_there_by_family():
    sizes = named_sizes()
    assert {size.name for size in sizes} == {*NAMED}
    families = [size.family for size in sizes]
    assert families[:3] == ["MolmoE", "MolmoE", "MolmoE"]
    # Each family's models stand together.
    assert len({*families}) == sum(one != other for one, other in zip(families, ["", *families], strict=False))


def test_what_does_not_fit_says_so():
    glm = size_of("glm-4.5v", model_shape("glm-4.5v"))
    assert too_large(glm, "bfloat16", 80 * 10**9) == (
        "glm-4.5v takes 215 GB in bfloat16, and there are 80 GB: choose a smaller one."
    )
    assert too_large(glm, "bfloat16", None) == ""
    assert too_large(glm, "bfloat16", 300 * 10**9) == ""
    assert "of which a token uses" in size_words(glm, "bfloat16", 80 * 10**9)
    dense = size_of("qwen3-vl-4b", model_shape("qwen3-vl-4b"))
    assert "of which" not in size_words(dense, "float16", None)
    table = display_sizes([glm, dense], "bfloat16", 80 * 10**9).set_index("model")
    assert table["fits here"].tolist() == ["no", "yes"]
    assert display_sizes([glm], "bfloat16", None)["fits here"].tolist() == ["not known"]


def test_auto_is_another_type_on_a_cpu():
    assert (stored_dtype("auto", "cpu"), stored_dtype("auto", "cuda:0")) == ("float32", "bfloat16")
    assert stored_dtype("float16", "cpu") == "float16"
