/**
 * The flow of a link that tells its provider with each message who wrote it. Only towards the provider: what comes back passes
 * as on any other link.
 */
import type { BorrowedFd } from '../kernel/fd.ts'
import { stageInput, type Writer } from '../kernel/message.ts'
import { AttestedOutbox } from './attested-outbox.ts'
import type { Connection } from './connection.ts'
import type { DialError, PeerCredentials } from './contract.ts'
import type { Written } from './outbox.ts'
import { PacketOutbox } from './packet-outbox.ts'
import { PlainFlow, passPackets, passStream } from './plain-flow.ts'
import type { Introduction } from './ports.ts'
import { readAttestedPackets, readAttestedStream } from './read-attested.ts'
import type { Read } from './reading.ts'
import { StreamOutbox } from './stream-outbox.ts'

export class AttestedFlow extends PlainFlow<StreamOutbox | PacketOutbox, AttestedOutbox> {
  readonly #introduction: Introduction
  #role: { readonly uid: number; readonly gid: number } | undefined

  constructor(connection: Connection, introduction: Introduction) {
    super(connection)
    this.#introduction = introduction
  }

  /** The process that wrote; user and group are the role's where the link wants that. */
  readonly #attest = (writer: Writer): Writer =>
    this.#role === undefined ? writer : { pid: writer.pid, uid: this.#role.uid, gid: this.#role.gid }

  override dialled(failed: DialError | undefined): void {
    if (failed === undefined && this.#introduction.credentials === 'role') {
      this.#role = this.#introduction.roleIds()
      // As somebody else it would be told what is not so.
      if (this.#role === undefined) {
        this.connection.close()
        return
      }
    }
    super.dialled(failed)
  }

  protected outboxToConsumer(fd: BorrowedFd): StreamOutbox | PacketOutbox {
    const { traffic } = this.connection
    return traffic.kind === 'stream' ? new StreamOutbox(traffic, fd) : new PacketOutbox(traffic, fd)
  }

  protected outboxToProvider(fd: BorrowedFd): AttestedOutbox {
    return new AttestedOutbox(this.connection.traffic, fd, this.#introduction.standIn)
  }

  protected passUp(fd: BorrowedFd, outbox: AttestedOutbox): Read {
    const { kind, counters, descriptors, held, plane } = this.connection.traffic
    const source = { fd, descriptors, held, attest: this.#attest }
    return kind === 'stream'
      ? readAttestedStream(source, outbox, counters)
      : readAttestedPackets(source, outbox, counters, plane.limits.packetBytes)
  }

  protected passDown(fd: BorrowedFd, outbox: StreamOutbox | PacketOutbox): Read {
    const { traffic } = this.connection
    return outbox instanceof StreamOutbox
      ? passStream(traffic, 'provider', fd, outbox)
      : passPackets(traffic, 'provider', fd, outbox)
  }

  protected greet(outbox: AttestedOutbox, greeting: Uint8Array, peer: PeerCredentials): Written {
    stageInput(greeting)
    return outbox.write(greeting.length, [], this.#attest(peer))
  }
}
