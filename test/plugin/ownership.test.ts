import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FoundFile, ownershipProblem } from '../../src/plugin/ownership.ts'

const found = (changes: Partial<FoundFile> = {}): FoundFile => ({
  path: '/opt/plugins/tally',
  kind: 'directory',
  uid: 0,
  gid: 0,
  mode: 0o755,
  ...changes,
})

describe('ownership', () => {
  it("root's own, closed to others, may be loaded", () => {
    assert.equal(ownershipProblem(found(), 'folder'), undefined)
    assert.equal(ownershipProblem(found({ mode: 0o700, gid: 50 }), 'above'), undefined)
    assert.equal(ownershipProblem(found({ kind: 'file', mode: 0o644 }), 'inside'), undefined)
  })

  it('what others can write is named with its mode and what to do', () => {
    assert.equal(
      ownershipProblem(found({ mode: 0o777 }), 'folder'),
      '/opt/plugins/tally can be written by others than root (owner 0:0, mode 0777): ' +
        'make sure that nobody has changed it, then chmod go-w /opt/plugins/tally',
    )
  })

  for (const mode of [0o775, 0o757, 0o720, 0o702]) {
    it(`mode ${mode.toString(8)} is open to others`, () => {
      assert.match(ownershipProblem(found({ mode }), 'folder') ?? '', /chmod go-w/)
    })
  }

  it('what does not belong to root is named with its owner and what to do', () => {
    assert.equal(
      ownershipProblem(found({ uid: 1000, gid: 100 }), 'inside'),
      '/opt/plugins/tally does not belong to root (owner 1000:100, mode 0755): ' +
        'make sure that nobody has changed it, then chown root:root /opt/plugins/tally',
    )
  })

  it('both at once are mended with one line', () => {
    const path = "/opt/it's here/tally"
    assert.match(
      ownershipProblem(found({ path, uid: 1000, mode: 0o777 }), 'folder') ?? '',
      /then chown root:root '\/opt\/it'\\''s here\/tally' && chmod go-w '\/opt\/it'\\''s here\/tally'$/,
    )
  })

  it('a sticky directory is good enough on the way, and nowhere else', () => {
    const sticky = found({ mode: 0o1777 })
    assert.equal(ownershipProblem(sticky, 'above'), undefined)
    assert.match(ownershipProblem(sticky, 'folder') ?? '', /mode 1777/)
    assert.match(ownershipProblem({ ...sticky, uid: 1000 }, 'above') ?? '', /does not belong to root/)
  })

  it("a symlink of root's may stand on the way, and nowhere else", () => {
    const symlink = found({ kind: 'symlink', mode: 0o777 })
    assert.equal(ownershipProblem(symlink, 'above'), undefined)
    assert.match(ownershipProblem({ ...symlink, uid: 1000 }, 'above') ?? '', /does not belong to root/)
    assert.match(ownershipProblem(symlink, 'folder') ?? '', /is a symlink, and must be a folder itself/)
    assert.match(ownershipProblem(symlink, 'inside') ?? '', /is a symlink, and must be a file or a folder/)
  })

  it('what is neither a file nor a folder is refused', () => {
    assert.match(ownershipProblem(found({ kind: 'other' }), 'inside') ?? '', /is neither a file nor a folder/)
    assert.match(ownershipProblem(found({ kind: 'file' }), 'folder') ?? '', /is a file, and must be a folder/)
  })
})
