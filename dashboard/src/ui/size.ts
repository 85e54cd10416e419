// Amounts of data as they are typed: a number and a unit of 1024.

export const SIZE = { MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 } as const;
export type Unit = keyof typeof SIZE;
