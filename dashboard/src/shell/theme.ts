// Light, dark or as the system has it; and more contrast.

export type Theme = 'system' | 'light' | 'dark';

const dark = matchMedia('(prefers-color-scheme: dark)');
const contrast = matchMedia('(prefers-contrast: more)');

export function storedTheme(): Theme {
  const stored = localStorage.getItem('sarban.theme');
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

export function storedContrast(): boolean {
  return localStorage.getItem('sarban.contrast') === 'high';
}

export function applyTheme(): void {
  const theme = storedTheme();
  const { dataset } = document.documentElement;
  dataset.theme = theme === 'system' ? (dark.matches ? 'dark' : 'light') : theme;
  if (storedContrast() || contrast.matches) dataset.contrast = 'high';
  else delete dataset.contrast;
}

export function setTheme(theme: Theme): void {
  localStorage.setItem('sarban.theme', theme);
  applyTheme();
}

export function setContrast(high: boolean): void {
  localStorage.setItem('sarban.contrast', high ? 'high' : 'usual');
  applyTheme();
}

dark.addEventListener('change', applyTheme);
contrast.addEventListener('change', applyTheme);
