import assert from 'node:assert/strict'
import { exchangeFilter } from '../../../src/ipv6/hop-trace/filter.ts'
import { watchLinks } from '../../../src/ipv6/hop-trace/watch.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'

describe('watching the links of one machine', function () {
  this.timeout(60_000)

  const address = '192.0.2.1'
  const filter = exchangeFilter([
    { family: 'ipv4', from: address, to: address, resolved: [{ from: address, to: address }] },
  ])
  const host = { machine: 'host', shell: localShell, asRoot: [] }
  const signal = new AbortController().signal
  const ping = () => runChecked(localShell, ['ping', '-c', '3', '-i', '0.05', address])
  const captures = async () =>
    (await localShell.run(['pgrep', '-f', 'tcpdump -Z root -p -n -tt'])).stdout.trim().split('\n').filter(Boolean)

  before(async () => {
    const [near, far] = ['vmr-watch-a', 'vmr-watch-b']
    await runChecked(localShell, ['ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', far])
    for (const link of [near, far]) await runChecked(localShell, ['ip', 'link', 'set', link, 'up'])
    await runChecked(localShell, ['ip', 'address', 'add', `${address}/24`, 'dev', near])
  })
  after(() => runChecked(localShell, ['ip', 'link', 'delete', 'vmr-watch-a']))

  it('tells each frame at the link that saw it, up to the last, and when', async () => {
    const links = ['vmr-watch-b', 'lo', 'vmr-watch-a'].map((link) => ({ ...host, link }))
    const watch = await watchLinks(links, filter, { signal })
    assert.deepEqual(watch.unwatched, [])
    const before = Date.now() / 1000
    await ping()
    const seen = await watch.stop()
    assert.deepEqual(
      seen.map(({ link, frames }) => [link, frames.map(({ what }) => what.kind).join(' ')]),
      [
        ['vmr-watch-b', ''],
        // A host speaks to itself over its loopback: both ways of each of the three.
        ['lo', 'echo reply echo reply echo reply'],
        ['vmr-watch-a', ''],
      ],
    )
    for (const { at } of seen.flatMap(({ frames }) => frames))
      assert.ok(at >= before - 0.1 && at <= Date.now() / 1000 + 0.1, `${at}`)
    assert.deepEqual(await captures(), [])
  })

  it('names a link that cannot be watched, and watches the others', async () => {
    const links = ['lo', 'vmr-nowhere'].map((link) => ({ ...host, link }))
    const watch = await watchLinks(links, filter, { signal })
    assert.deepEqual(
      watch.unwatched.map(({ link, reason }) => [link, /No such device/.test(reason)]),
      [['vmr-nowhere', true]],
    )
    await ping()
    const seen = await watch.stop()
    assert.deepEqual(
      seen.map(({ link, frames }) => [link, frames.length > 0]),
      [['lo', true]],
    )
  })

  it('leaves no capture behind when it is aborted', async () => {
    const abort = new AbortController()
    await watchLinks([{ ...host, link: 'lo' }], filter, { signal: abort.signal })
    assert.equal((await captures()).length > 0, true)
    abort.abort()
    for (const deadline = Date.now() + 5000; (await captures()).length > 0; )
      assert.ok(Date.now() < deadline, 'a capture is still there')
  })
})
