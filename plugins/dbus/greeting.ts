/**
 * What lies between BEGIN and the moment when the bus has taken the client in, by its answer to Hello. Until then it is one of those
 * of whom a bus has few at once (max_incomplete_connections, dbus-daemon(1)), so it has to be known whom the bus waits for.
 */
import { BUS_NAME, FLAG, MESSAGE_TYPE, type MessageHead } from './contract.ts'

export const wantsReply = ({ type, flags }: MessageHead): boolean =>
  type === MESSAGE_TYPE.call && (flags & FLAG.noReplyExpected) === 0

/** One that the bus answers with a name. */
export const isHello = (head: MessageHead): boolean =>
  head.type === MESSAGE_TYPE.call &&
  head.destination === BUS_NAME &&
  head.member === 'Hello' &&
  (head.interface === undefined || head.interface === BUS_NAME) &&
  wantsReply(head)

export class Greeting {
  /** `asked`: Hello, and all of it, went to the bus. `over`: the client has a name. */
  #state: 'silent' | 'asking' | 'asked' | 'over' = 'silent'

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** The bus has nothing to do yet: Hello did not come, or not all of it. */
  get awaitsClient(): boolean {
    return this.#state === 'silent' || this.#state === 'asking'
  }

  /** A message of the client's begins. */
  said(head: MessageHead): void {
    if (this.#state === 'silent' && isHello(head)) this.#state = 'asking'
  }

  /** All of it has come. */
  saidAll(): void {
    if (this.#state === 'asking') this.#state = 'asked'
  }

  /** The bus's first word is its answer; after an error it waits for another Hello. */
  heard({ type }: MessageHead): void {
    if (this.#state !== 'over') this.#state = type === MESSAGE_TYPE.error ? 'silent' : 'over'
  }
}
