import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { consoleRecordDirectory, startConsoleRecord } from '../../src/vm/console-record.ts'

const vyos = { user: 'vyos', password: 'vyos' }

describe('record of a serial console', () => {
  let state: string
  const before = process.env.VMR_STATE_DIR

  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), 'vmr-record-'))
    process.env.VMR_STATE_DIR = state
  })
  afterEach(() => {
    if (before === undefined) delete process.env.VMR_STATE_DIR
    else process.env.VMR_STATE_DIR = before
    rmSync(state, { recursive: true, force: true })
  })

  it('is for its owner only, and shows prompts even where the password is the user’s name', () => {
    const record = startConsoleRecord('r1', vyos)
    assert.ok(record)
    record.transcript.received('vyos login: \n')
    record.transcript.sent('vyos\r', { secret: true })
    record.transcript.end()
    record.close()
    assert.equal(statSync(record.path).mode & 0o777, 0o600)
    assert.equal(statSync(consoleRecordDirectory()).mode & 0o777, 0o700)
    const text = readFileSync(record.path, 'utf8')
    assert.match(text, /"kind":"recv","data":"vyos login: \\n"/)
    assert.match(text, /"kind":"send","data":"\*{8}"/)
  })

  it('leaves out what is typed into a file, and masks a password wherever it shows', async () => {
    const record = startConsoleRecord('r1', { user: 'vyos', password: 'secret-of-r1' })
    assert.ok(record)
    const { transcript } = record
    await transcript.leaveOut('12 bytes typed into /tmp/x', async () => {
      transcript.sent('c2VjcmV0LW9mLXIx\r')
      transcript.received('> c2VjcmV0LW9mLXIx\n')
    })
    transcript.received('is it secret-')
    transcript.received('of-r1?\n')
    transcript.end()
    record.close()
    const text = readFileSync(record.path, 'utf8')
    assert.doesNotMatch(text, /secret|c2VjcmV0/)
    assert.match(text, /left out: 12 bytes typed into \/tmp\/x/)
  })

  it('masks what VyOS shows of passwords and of the keys of its HTTP API', () => {
    const record = startConsoleRecord('r1', vyos)
    assert.ok(record)
    const { transcript } = record
    transcript.received("set service https api keys id vmr key 'first-secret'\n")
    transcript.received('set system login user vyos authentication encrypted-password second-secret\n')
    transcript.received("set system login user vyos authentication public-keys me key 'AAAA'\n")
    transcript.end()
    record.close()
    const text = readFileSync(record.path, 'utf8')
    assert.doesNotMatch(text, /secret/)
    assert.match(text, /AAAA/)
  })

  it('goes when twenty newer ones have come', () => {
    const paths = Array.from({ length: 25 }, (_, index) => {
      const record = startConsoleRecord(`r${index}`, vyos)
      record?.close()
      return record?.path
    })
    const names = readdirSync(consoleRecordDirectory())
    assert.equal(names.length, 20)
    assert.ok(names.some((name) => paths[24]?.endsWith(name)))
  })

  it('is done without where it cannot be written', () => {
    writeFileSync(join(state, 'consoles'), '')
    assert.equal(startConsoleRecord('r1', vyos), undefined)
  })
})
