// All entries of a list, for choices and for lists that are shown whole.

interface Page<T> { items: T[]; total: number; pages: number }

/** Entries of a page, the most that the API gives. */
const SIZE = 100;
/** Pages at most: 2,000 entries, which a reader can still search. Who shows them says how many there are. */
const PAGES = 20;
/** Requests at once. */
const AT_ONCE = 4;

/** Reads all pages of a list, up to 2,000 entries. `total` is the number that there are. */
export async function everything<T extends { id: number }>(read: (page: { page: number; size: number }) => Promise<Page<T>>): Promise<{ items: T[]; total: number }> {
  const first = await read({ page: 1, size: SIZE });
  const found = new Map(first.items.map((item) => [item.id, item]));
  const last = Math.min(first.pages, PAGES);
  for (let start = 2; start <= last; start += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, last - start + 1) }, (_, index) => start + index);
    // Rows may move between pages while they are read: each is there once.
    for (const page of await Promise.all(numbers.map((page) => read({ page, size: SIZE })))) for (const item of page.items) found.set(item.id, item);
  }
  return { items: [...found.values()], total: Math.max(first.total, found.size) };
}
