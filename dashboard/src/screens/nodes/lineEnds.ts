// Line ends of configurations: the editor knows one kind.

/** A configuration with the line ends that the editor has: others make no other configuration. */
export const withLines = <T extends { config: string }>(read: T): T => ({ ...read, config: read.config.replace(/\r\n?/g, '\n') });
