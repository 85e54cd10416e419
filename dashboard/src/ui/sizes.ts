// Rows of a page, where a list lets its reader choose.

export const SIZES = [25, 50, 100];
