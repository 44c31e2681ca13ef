"""The built-in data set: photographs that scikit-image carries, at their own sizes, with this project's questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.data_sets.candidates import Candidate, choose
from profcore.images.pictures import PHOTOS, photograph_path, picture_size
from profcore.spec.queries import Picture

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet

QUESTIONS: dict[str, tuple[str, str]] = {
    "astronaut": ("What is the person in the picture wearing?", "Is there a flag in the background, and which one?"),
    "coffee": ("What is in the cup?", "Describe the spoon and where it lies."),
    "chelsea": ("What animal is this?", "Which way do its ears point, and what colour is its fur?"),
    "rocket": ("What stands on the launch pad?", "What time of day does the light suggest, and why?"),
    "hubble_deep_field": ("What are the bright spots?", "How many colours of galaxies can you tell apart?"),
    "retina": ("Which part of the body is shown?", "Where is the brightest round spot, and what is it called?"),
    "motorcycle_left": ("What vehicle is in the room?", "List the things on the wall and on the floor."),
    "ihc": ("What kind of microscope picture could this be?", "What do the brown areas mark?"),
    "camera": ("What is the man doing?", "Name the building in the distance if you can, and describe the weather."),
    "coins": ("How many rows of coins are there?", "Count the coins."),
    "moon": ("Where was this picture taken?", "Describe the largest crater."),
    "page": ("What is printed on this page?", "Read the first line."),
    "text": ("Is this text typed or written by hand?", "Read the words aloud."),
    "clock_motion": ("What is this object for?", "Why is the picture blurred?"),
    "brick": ("What is the wall made of?", "How many rows of bricks can be seen?"),
    "grass": ("What grows here?", "Does the wind come from the left or from the right?"),
    "gravel": ("What covers the ground?", "Are the stones larger than a fist or smaller, and how can you tell?"),
    "cell": ("What is in the middle of the picture?", "Why does it look grey and not coloured?"),
}


def read(data_set: DataSet) -> QuerySet:
    """Two queries for each photograph."""
    candidates = [
        Candidate(Picture("photo", name), question, name, f"{name}-{number}")
        for name in PHOTOS
        for number, question in enumerate(QUESTIONS[name], start=1)
    ]
    return choose(
        "photographs of scikit-image",
        candidates,
        data_set,
        lambda picture: picture_size(photograph_path(picture.value), picture.value),
    )
