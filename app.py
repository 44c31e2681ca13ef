"""The dashboard's entry: navigation, and the bar that every page shares."""

from pages.parts import bar, navigation

page = navigation.navigate()
bar.show()
navigation.bar_is_drawn()
page.run()
