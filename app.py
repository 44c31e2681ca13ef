"""The dashboard's entry: the door, navigation, and the bar that every page shares."""

from pages.parts import address, bar, door, head_start, navigation, pressed, replaced_files, several
from pages.parts.state import database_said

page = navigation.navigate()
door.pass_through()
replaced_files.keep()
with database_said():
    bar.show(page.title)
    several.offer_all_knobs()
    navigation.bar_is_drawn()
    pressed.tell_left(page.url_path)
    with address.link_drawn(), head_start.of_first_chart(page.url_path):
        page.run()
