// An OAuth client whose user consents at once: the suite's authorization servers redirect without asking.
const REDIRECT = 'http://localhost:3000/callback';

/** Answers what the SDK asks of an OAuth client, from memory, by the issuer it deals with. */
class Consenting {
    #clients = new Map();
    #tokens;
    #verifier;
    #discovery;
    answer;

    constructor({ client, clientMetadataUrl }) {
        this.preregistered = client;
        this.clientMetadataUrl = clientMetadataUrl;
    }

    get redirectUrl() {
        return REDIRECT;
    }

    get clientMetadata() {
        return {
            client_name: 'bartizan-conformance',
            redirect_uris: [REDIRECT],
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code'],
            application_type: 'native',
        };
    }

    clientInformation(context) {
        return this.preregistered ?? this.#clients.get(context?.issuer ?? '');
    }

    saveClientInformation(client, context) {
        this.#clients.set(context?.issuer ?? '', client);
    }

    tokens() {
        return this.#tokens;
    }

    saveTokens(tokens) {
        this.#tokens = tokens;
    }

    saveCodeVerifier(verifier) {
        this.#verifier = verifier;
    }

    codeVerifier() {
        return this.#verifier;
    }

    saveDiscoveryState(state) {
        this.#discovery = state;
    }

    discoveryState() {
        return this.#discovery;
    }

    invalidateCredentials(scope) {
        if (scope === 'all' || scope === 'tokens') this.#tokens = undefined;
        if (scope === 'all' || scope === 'client') this.#clients.clear();
        if (scope === 'all' || scope === 'discovery') this.#discovery = undefined;
    }

    async redirectToAuthorization(url) {
        const response = await fetch(url, { redirect: 'manual' });
        const location = response.headers.get('location');
        if (!location) throw new Error('the authorization server did not redirect');
        this.answer = new URL(location).searchParams;
    }
}

/** A provider that consents; `client` is one that is known to the authorization server already. */
export const consenting = (options = {}) => new Consenting(options);
