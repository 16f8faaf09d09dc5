/**
 * The moments between the steps of an injection and of a dial. The world can change at any of them: a test that is told
 * makes it do so there. Only the toolbox's options lead here; nothing that a user could set does.
 */
export type Moment =
  | 'provider held'
  | 'provider found'
  | 'consumer held'
  /** Once for each, under its private name. */
  | 'directory made'
  | 'directory named'
  | 'parents held'
  | 'target looked at'
  | 'bound'
  | 'mode set'
  | 'listening'
  /** The new file and what it shall replace have changed places; what came out was not looked at yet. */
  | 'names exchanged'
  | 'named'
  /** Under its private name, with neither owner nor mode yet. */
  | 'node made'
  | 'node owned'
  /** A node, on the file that stands for it. */
  | 'mounted'

export type AtMoment = (moment: Moment) => void
