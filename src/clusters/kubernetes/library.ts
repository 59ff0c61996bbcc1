import {
  AuthorizationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  createConfiguration,
  type RequestContext,
  ResponseContext,
  ServerConfiguration,
  type V1ResourceAttributes,
  VersionApi,
  wrapHttpLibrary,
} from '@kubernetes/client-node'
import { type Access, type Kube, KubeError } from './kube.ts'
import type { Line, Question } from './line.ts'
import { jsonOf } from './refusal.ts'

/** What a cluster is asked about itself and about rights, by the clients of the Kubernetes library over our
 *  connections. Importing this file takes 89 MB: only who asks one of these pays for it. */
export function libraryOf(line: Line): Pick<Kube, 'version' | 'can' | 'mayAccount' | 'served'> {
  const configuration = createConfiguration({
    baseServer: new ServerConfiguration(origin, {}),
    httpApi: wrapHttpLibrary({ send: (request) => exchange(line, request) }),
  })
  const rights = new AuthorizationV1Api(configuration)
  return {
    version: () =>
      understood(async () => (await new VersionApi(configuration).getCode()).gitVersion),
    can: (access) =>
      understood(async () => {
        const { status } = await rights.createSelfSubjectAccessReview({
          body: {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SelfSubjectAccessReview',
            spec: { resourceAttributes: attributesOf(access) },
          },
        })
        return status?.allowed === true
      }),
    mayAccount: ({ namespace, name }, access) =>
      understood(async () => {
        const { status } = await rights.createNamespacedLocalSubjectAccessReview({
          namespace,
          body: {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'LocalSubjectAccessReview',
            metadata: { namespace },
            spec: {
              user: `system:serviceaccount:${namespace}:${name}`,
              groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
              resourceAttributes: attributesOf(access),
            },
          },
        })
        return status?.allowed === true
      }),
    served: async (apiVersion) => {
      const [group = '', version] = apiVersion.split('/')
      try {
        const { resources } = await understood(() =>
          version === undefined
            ? new CoreV1Api(configuration).getAPIResources()
            : new CustomObjectsApi(configuration).getAPIResources({ group, version }),
        )
        return resources.flatMap(({ name, kind }) => (name.includes('/') ? [] : [kind]))
      } catch (error) {
        if (error instanceof KubeError && error.fault === 'unsupported') return undefined
        throw error
      }
    },
  }
}

/** What the library cannot read is no answer. */
async function understood<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (cause instanceof KubeError) throw cause
    throw new KubeError('unavailable', 'The cluster answers with something else', { cause })
  }
}

/** Stands before the path, which is all that is taken of a URL. */
const origin = 'https://cluster'

/** The library's own sender opens a connection for each request, and reads answers of any size. */
async function exchange(line: Line, request: RequestContext): Promise<ResponseContext> {
  const body = request.getBody()
  const value = typeof body === 'string' ? jsonOf(body) : undefined
  const question: Question = {
    method: request.getHttpMethod() === 'POST' ? 'POST' : 'GET',
    path: request.getUrl().slice(origin.length),
    ...(typeof value === 'object' && value !== null ? { body: value } : {}),
  }
  const { octets } = await line.ask(question)
  return new ResponseContext(
    200,
    { 'content-type': 'application/json' },
    {
      text: async () => octets.toString('utf8'),
      binary: async () => octets,
      stream: () => null,
    },
  )
}

function attributesOf({ verb, group, resource: path, ...rest }: Access): V1ResourceAttributes {
  const [resource = '', subresource] = path.split('/')
  return { verb, group, resource, ...(subresource === undefined ? {} : { subresource }), ...rest }
}
