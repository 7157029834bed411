import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { faults } from '../../src/ipv6/faults/index.ts'
import { onBridge, onMacvtap, onOneNic, onTrustedMacvtap } from '../lab/ipv6/produced-faults.ts'

const ids = faults.map(({ id }) => id).sort()

describe('the catalogue of faults', () => {
  it('has each made for real by a test', () => {
    const made = [...onBridge, ...onMacvtap, ...onOneNic, ...onTrustedMacvtap].map(({ expected }) => expected)
    assert.deepEqual([...new Set(made)].sort(), ids)
  })

  it('is in the documentation, each with how it is made', async () => {
    const text = await readFile(new URL('../../docs/faults.md', import.meta.url), 'utf8')
    assert.deepEqual([...text.matchAll(/^\| `([a-z0-9-]+)`/gm)].map(([, id]) => id).sort(), ids)
  })

  it('says of each how it shows, what proves and refutes it, and how to verify that it is mended', () => {
    for (const { title, symptom, cause, provenBy, refutedBy, verify } of faults)
      for (const text of [title, symptom, cause, provenBy, refutedBy, verify]) assert.ok(text.length > 5, title)
  })
})
