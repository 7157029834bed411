import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { buildLabImage, type LabImage } from '../../../src/image/lab-image.ts'
import { type Connection, connect } from '../../../src/libvirt/index.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { operationalPrompt, startQemu } from '../image/qemu-guest.ts'

const name = 'vmrt-boot'
const loginPrompt = /login: $/
const virsh = (...argv: readonly string[]) => runChecked(localShell, ['virsh', '--connect', 'qemu:///system', ...argv])

/** Seconds that this took. */
async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await action()
  return (performance.now() - start) / 1000
}

describe('the boot of a guest', function () {
  this.timeout(180_000)
  let folder: string
  let connection: Connection
  let image: LabImage
  let xmlFile: string

  const vmr = (...argv: readonly string[]) =>
    runChecked(localShell, ['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', ...argv], {
      timeoutMs: 60_000,
    })
  const create = async () => {
    // To the console and no further, as by hand.
    const created = JSON.parse(await vmr('vm', 'create', name, '--accel', 'tcg', '--no-addresses', '--json')) as {
      readonly readyAfterSeconds: number
      readonly retried: boolean
    }
    assert.equal(created.retried, false)
    return created.readyAfterSeconds
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-boot-'))
    connection = await connect('qemu:///system')
    image = await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell })
    xmlFile = join(folder, 'domain.xml')
    await create()
    await end()
  })
  after(async () => {
    await vmr('vm', 'delete', name, '--yes')
    await vmr('lab', 'down')
    await connection.close()
    await rm(folder, { recursive: true })
  })

  /** Ends the guest, and keeps how it is defined. */
  async function end(): Promise<void> {
    const domain = await connection.lookupDomainByName(name)
    await writeFile(xmlFile, await connection.domainXml(domain, { inactive: true }))
    await connection.destroyDomain(domain)
  }

  async function plainQemu(): Promise<number> {
    const start = performance.now()
    const guest = startQemu(image, { sshPort: 22_022 })
    try {
      await guest.awaitOutput(loginPrompt)
      return (performance.now() - start) / 1000
    } finally {
      await guest.stop()
    }
  }

  /** As by hand: define, start, and log in on the console. */
  async function byVirsh(): Promise<number> {
    const seconds = await timed(async () => {
      await virsh('define', xmlFile)
      await virsh('start', name)
      const console = await connection.openConsole(await connection.lookupDomainByName(name))
      const answers = [
        { prompt: loginPrompt, typed: 'vyos\r' },
        { prompt: /Password: $/, typed: 'vyos\r' },
      ]
      let shown = ''
      for await (const chunk of console.setEncoding('latin1')) {
        shown = `${shown}${String(chunk)}`.slice(-200)
        const [next] = answers
        if (next === undefined && operationalPrompt.test(shown)) break
        if (next === undefined || !next.prompt.test(shown)) continue
        console.write(next.typed)
        shown = ''
        answers.shift()
      }
    })
    await end()
    return seconds
  }

  /** Seconds of vmr's own boot and login, and of the whole command. */
  async function byVmr(): Promise<{ readonly ready: number; readonly command: number }> {
    await vmr('vm', 'delete', name, '--yes')
    let ready = 0
    const command = await timed(async () => {
      ready = await create()
    })
    await end()
    return { ready, command }
  }

  it('takes at most a second longer than the same kernel alone, and as a whole command than virsh by hand', async () => {
    const plain: number[] = []
    const hand: number[] = []
    const own: { readonly ready: number; readonly command: number }[] = []
    const measure = {
      plain: async () => plain.push(await plainQemu()),
      hand: async () => hand.push(await byVirsh()),
      own: async () => own.push(await byVmr()),
    }
    // Forth and back, so that drift of a busy machine does not become a difference.
    for (const which of ['plain', 'hand', 'own', 'own', 'hand', 'plain', 'plain', 'hand', 'own'] as const)
      await measure[which]()
    // The least disturbed of each: the guest's own boot varies by more than what is compared here.
    const ready = Math.min(...own.map((each) => each.ready))
    const figures = `plain QEMU ${plain}, virsh ${hand}, vmr ${own.map((each) => `${each.ready} (${each.command})`)}`
    assert.ok(ready - Math.min(...plain) <= 1, figures)
    assert.ok(Math.min(...own.map((each) => each.command)) - Math.min(...hand) <= 1, figures)
    if (process.env.VMR_SHOW_FIGURES) process.stdout.write(`${figures}\n`)
  })
})
