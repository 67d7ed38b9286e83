import pytest

from landsift.data import find_templates, list_templates
from landsift.errors import UsageError


@pytest.mark.parametrize("family", list_templates(), ids=lambda family: family.name)
def test_every_family_makes_a_sentence_per_template(family):
    assert family.average in {"normalised", "raw"} and family.source
    (sentences,) = family.sentences(["AnnualCrop"])
    assert len(sentences) == len(family.templates)
    assert all("annual crop" in sentence and "{}" not in sentence for sentence in sentences)


def test_a_family_may_have_names_of_its_own():
    clip = find_templates("clip")
    assert clip.sentences(["SeaLake"], "eurosat-150")[0][0] == "a centered satellite photo of lake or sea."
    assert clip.sentences(["SeaLake"], "other")[0][0] == "a centered satellite photo of sea lake."


def test_unknown_families_are_refused_with_the_names():
    with pytest.raises(UsageError, match="remoteclip"):
        find_templates("remote")
