// Runs before the first paint: the theme that was chosen, otherwise the system's.
try {
  const { theme } = JSON.parse(localStorage.getItem('nextgpt') ?? '{}');
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the page follows the system.
}
