"""The dashboard's entry: navigation, and the bar that every page shares."""

from pages.parts import bar, navigation, replaced_files

page = navigation.navigate()
replaced_files.keep()
bar.show()
navigation.bar_is_drawn()
page.run()
