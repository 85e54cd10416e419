// Saves a text as a file of the reader.

export function save(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name.replace(/[/\\:]/g, '_');
  link.click();
  URL.revokeObjectURL(url);
}
