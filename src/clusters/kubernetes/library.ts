import {
  AuthorizationV1ApiRequestFactory,
  AuthorizationV1ApiResponseProcessor,
} from '@kubernetes/client-node/dist/gen/apis/AuthorizationV1Api.js'
import {
  CoreV1ApiRequestFactory,
  CoreV1ApiResponseProcessor,
} from '@kubernetes/client-node/dist/gen/apis/CoreV1Api.js'
import {
  CustomObjectsApiRequestFactory,
  CustomObjectsApiResponseProcessor,
} from '@kubernetes/client-node/dist/gen/apis/CustomObjectsApi.js'
import {
  VersionApiRequestFactory,
  VersionApiResponseProcessor,
} from '@kubernetes/client-node/dist/gen/apis/VersionApi.js'
import { createConfiguration } from '@kubernetes/client-node/dist/gen/configuration.js'
import { type RequestContext, ResponseContext } from '@kubernetes/client-node/dist/gen/http/http.js'
import type { V1ResourceAttributes } from '@kubernetes/client-node/dist/gen/models/V1ResourceAttributes.js'
import { ServerConfiguration } from '@kubernetes/client-node/dist/gen/servers.js'
import { type Access, type Kube, KubeError } from './kube.ts'
import type { Line, Question } from './line.ts'
import { jsonOf } from './refusal.ts'

/** What a cluster is asked about itself and about rights: the Kubernetes library says how it is asked and reads the
 *  answer, which comes over our connections. Of the library that alone is imported: 55 MB, which only who asks one of
 *  these pays for, where the whole of it is 85 MB. */
export function libraryOf(line: Line): Pick<Kube, 'version' | 'can' | 'mayAccount' | 'served'> {
  const configuration = createConfiguration({ baseServer: new ServerConfiguration(origin, {}) })
  const rights = {
    asked: new AuthorizationV1ApiRequestFactory(configuration),
    read: new AuthorizationV1ApiResponseProcessor(),
  }

  /** What the library cannot read is no answer. */
  async function exchange<T>(
    request: Promise<RequestContext>,
    read: (response: ResponseContext) => Promise<{ readonly data: T }>,
  ): Promise<T> {
    try {
      return (await read(await sent(line, await request))).data
    } catch (cause) {
      if (cause instanceof KubeError) throw cause
      throw new KubeError('unavailable', 'The cluster answers with something else', { cause })
    }
  }

  return {
    version: async () => {
      const { gitVersion } = await exchange(
        new VersionApiRequestFactory(configuration).getCode(),
        (response) => new VersionApiResponseProcessor().getCodeWithHttpInfo(response),
      )
      return gitVersion
    },
    can: async (access) => {
      const { status } = await exchange(
        rights.asked.createSelfSubjectAccessReview({
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes: attributesOf(access) },
        }),
        (response) => rights.read.createSelfSubjectAccessReviewWithHttpInfo(response),
      )
      return status?.allowed === true
    },
    mayAccount: async ({ namespace, name }, access) => {
      const { status } = await exchange(
        rights.asked.createNamespacedLocalSubjectAccessReview(namespace, {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'LocalSubjectAccessReview',
          metadata: { namespace },
          spec: {
            user: `system:serviceaccount:${namespace}:${name}`,
            groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
            resourceAttributes: attributesOf(access),
          },
        }),
        (response) => rights.read.createNamespacedLocalSubjectAccessReviewWithHttpInfo(response),
      )
      return status?.allowed === true
    },
    served: async (apiVersion) => {
      const [group = '', version] = apiVersion.split('/')
      try {
        const { resources } =
          version === undefined
            ? await exchange(
                new CoreV1ApiRequestFactory(configuration).getAPIResources(),
                (response) =>
                  new CoreV1ApiResponseProcessor().getAPIResourcesWithHttpInfo(response),
              )
            : await exchange(
                new CustomObjectsApiRequestFactory(configuration).getAPIResources(group, version),
                (response) =>
                  new CustomObjectsApiResponseProcessor().getAPIResourcesWithHttpInfo(response),
              )
        return resources.flatMap(({ name, kind }) => (name.includes('/') ? [] : [kind]))
      } catch (error) {
        if (error instanceof KubeError && error.fault === 'unsupported') return undefined
        throw error
      }
    },
  }
}

/** Stands before the path, which is all that is taken of a URL. */
const origin = 'https://cluster'

/** The library's own sender opens a connection for each request, and reads answers of any size. */
async function sent(line: Line, request: RequestContext): Promise<ResponseContext> {
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
