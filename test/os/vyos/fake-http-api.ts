import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { startsWith, type VyosPath } from '../../../src/os/vyos/path.ts'
import type { Certificate } from '../../shell/self-signed.ts'

export interface FakeRequest {
  readonly endpoint: string
  readonly data: unknown
  readonly key: string | undefined
  /** All that was sent but the body. */
  readonly head: string
}

interface Operation {
  readonly op: string
  readonly path: VyosPath
}

/** Answers a request in VyOS's place; false leaves it to the fake. */
export type Fault = (request: FakeRequest, response: ServerResponse, answer: Answer) => boolean | Promise<boolean>
type Answer = (status: number, body: unknown) => void

export interface FakeHttpApi {
  readonly port: number
  readonly requests: readonly FakeRequest[]
  active: readonly VyosPath[]
  saved: readonly VyosPath[] | undefined
  /** What goes wrong, until it is set to undefined. */
  fault: Fault | undefined
  close(): Promise<void>
}

export const fakeKey = 'a-key-of-the-fake'

/** For the faults of the protocol that no real guest has on demand: what VyOS's HTTP API answers, by its source. */
export async function startFakeHttpApi({ key, cert }: Certificate): Promise<FakeHttpApi> {
  const requests: FakeRequest[] = []
  const fake = { active: [] as readonly VyosPath[], saved: undefined as readonly VyosPath[] | undefined }
  const faults: { current: Fault | undefined } = { current: undefined }

  const handle = async (incoming: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const chunk of incoming as AsyncIterable<Buffer>) body += chunk.toString('utf8')
    const fields = new URLSearchParams(body)
    const data: unknown = JSON.parse(fields.get('data') ?? 'null')
    const head = `${incoming.method} ${incoming.url} ${incoming.rawHeaders.join(' ')}`
    const request = { endpoint: incoming.url ?? '', data, key: fields.get('key') ?? undefined, head }
    requests.push(request)
    const answer: Answer = (status, content) => {
      response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' })
      response.end(JSON.stringify(content))
    }
    if (await faults.current?.(request, response, answer)) return
    if (request.key !== fakeKey) answer(401, { success: false, error: 'Valid API key is required', data: null })
    else answer(200, { success: true, data: perform(request), error: null })
  }
  const perform = ({ endpoint, data }: FakeRequest): unknown => {
    switch (endpoint) {
      case '/configure':
        for (const { op, path } of data as readonly Operation[]) {
          fake.active = fake.active.filter((leaf) => (op === 'delete' ? !startsWith(leaf, path) : true))
          if (op === 'set') fake.active = [...fake.active, path]
        }
        return null
      case '/retrieve':
        return treeOf(fake.active)
      case '/config-file':
        fake.saved = fake.active
        return ''
      default:
        return (data as Operation).path[0] === 'version'
          ? 'Version:          VyOS 1.4.1\nRelease train:    sagitta\n'
          : 'Codes: S - State\nInterface        IP Address   S/L\n---------\neth0     192.0.2.1/24  u/u\n         2001:db8::1/64\neth1  -  u/u\nlo  127.0.0.1/8 u/u\n'
    }
  }
  const server = createServer({ key, cert }, (incoming, response) => void handle(incoming, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    get active() {
      return fake.active
    },
    set active(paths) {
      fake.active = paths
    },
    get saved() {
      return fake.saved
    },
    set saved(paths) {
      fake.saved = paths
    },
    get fault() {
      return faults.current
    },
    set fault(fault) {
      faults.current = fault
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const multiple = new Set(['address', 'listen-address'])

/** As VyOS's ConfigTree.to_json: a leaf with one value is a text, with several a list. */
function treeOf(paths: readonly VyosPath[]): unknown {
  const root: Record<string, unknown> = {}
  for (const path of paths) {
    const valueless = path.at(-1) === 'disable' || path.at(-2) === 'loopback' || path.at(-2) === 'vif'
    const nodes = valueless ? path : path.slice(0, -2)
    const [leaf = '', value = ''] = path.slice(-2)
    let node = root
    for (const word of nodes) {
      node[word] ??= {}
      node = node[word] as Record<string, unknown>
    }
    if (valueless) continue
    const before = node[leaf]
    if (before === undefined || !multiple.has(leaf)) node[leaf] = value
    else node[leaf] = [...(Array.isArray(before) ? (before as unknown[]) : [before]), value]
  }
  return root
}
