/** How much is logged: the words that options, logs and the control API share. */

/** From the most that can be said to the least. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const

export type Level = (typeof LOG_LEVELS)[number]
