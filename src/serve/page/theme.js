// Before anything is drawn: the theme that was chosen, if one was.
{
  let theme = null;
  try {
    theme = localStorage.getItem("sharpi.theme");
  } catch {
    // Storage may be forbidden; the system's theme is used then.
  }
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
}
