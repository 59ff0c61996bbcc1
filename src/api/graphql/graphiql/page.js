// The page of GET /graphiql: GraphiQL over POST /graphql with the API key of the field on top, which
// the browser keeps for as long as the tab is open.
const { React, ReactDOM, GraphiQL } = window
const kept = 'gatesmith.token'
const field = document.querySelector('#token')
const state = document.querySelector('#state')
const root = ReactDOM.createRoot(document.querySelector('#graphiql'))

const example = `# What ends within 30 days, for whom, and where it is served
{
  expiringCertificates(within: "P30D") {
    items {
      notAfter
      dnsNames
      tenant { name }
      host { name }
      clusters { status cluster { name } }
    }
    nextCursor
  }
}
`

async function ask(query) {
  const answer = await fetch('/graphql', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${sessionStorage.getItem(kept) ?? ''}`,
    },
    body: JSON.stringify(query),
  })
  state.textContent = answer.status === 401 ? 'This API key is not valid' : ''
  return answer.json()
}

function show() {
  const token = sessionStorage.getItem(kept)
  if (!token) {
    state.textContent = 'Paste an API key: .gatesmith/token holds one'
    root.render(null)
    return
  }
  state.textContent = ''
  // Another key is another schema fetch: GraphiQL starts anew.
  root.render(React.createElement(GraphiQL, { key: token, fetcher: ask, defaultQuery: example }))
}

document.querySelector('#bearer').addEventListener('submit', (event) => {
  event.preventDefault()
  sessionStorage.setItem(kept, field.value.trim())
  show()
})
field.value = sessionStorage.getItem(kept) ?? ''
show()
