/* Merges the answers of several services into one; everything else is done by nginx itself.
 *
 * The parts are asked at the same time by subrequests to the internal /_part/… locations, which know
 * the paths. A part that does not answer with 200 is left out, and X-Completed says whether all are
 * in. njs 0.7.9, the oldest it must run on, has no spread and no await inside call arguments. */

const PROFILE_PARTS = [
    {uri: '/_part/profile', fields: ['profileId', 'firstName', 'lastName', 'email', 'phone']},
    {uri: '/_part/account', fields: ['accountId', 'money']},
    {uri: '/_part/user', fields: ['id', 'username']},
];

/* What a refused or failed part says about itself is worth passing on. */
const PASSED_HEADERS = ['Content-Type', 'Retry-After', 'WWW-Authenticate'];

/* GET /me/profile */
async function profile(r) {
    const replies = await Promise.all(PROFILE_PARTS.map((part) => r.subrequest(part.uri)));
    const bodies = replies.map(bodyOf);
    const refusal = replies.find((reply) => reply.status === 401 || reply.status === 403);

    if (refusal !== undefined || bodies.every((body) => body === null)) {
        passOn(r, refusal || replies[0]);
        return;
    }
    const merged = {};
    bodies.forEach((body, i) => {
        if (body !== null) {
            copyFields(PROFILE_PARTS[i].fields, body, merged);
        }
    });
    answer(r, merged, bodies.every((body) => body !== null));
}

/* GET /products/{id}: the product with `prices` */
async function product(r) {
    const replies = await Promise.all([
        r.subrequest('/_part/product'),
        r.subrequest('/_part/prices', 'productIds=' + r.variables.safe_id),
    ]);
    const found = bodyOf(replies[0]);
    const prices = bodyOf(replies[1]);

    if (found === null) {
        passOn(r, replies[0]);
        return;
    }
    addPrices([found], prices);
    answer(r, found, prices !== null);
}

/* POST /products/find-by-filter: a page of products, each with `prices` */
async function products(r) {
    const reply = await r.subrequest('/_part/products', {method: 'POST'});
    const page = bodyOf(reply);

    if (page === null || !Array.isArray(page.items)) {
        passOn(r, reply);
        return;
    }
    let prices = [];
    if (page.items.length > 0) {
        const ids = page.items.map((item) => item.productId);
        /* Without a body of its own a subrequest sends that of the request. */
        const options = {args: 'productIds=' + ids.join(','), body: ''};
        const priceReply = await r.subrequest('/_part/prices', options);
        prices = bodyOf(priceReply);
    }
    addPrices(page.items, prices);
    answer(r, page, prices !== null);
}

/* The JSON of a 200, or null. */
function bodyOf(reply) {
    if (reply.status !== 200) {
        return null;
    }
    try {
        return JSON.parse(reply.responseText);
    } catch (e) {
        return null;
    }
}

/* Gives each product its rows of `prices`; with null (the prices are not to be had) nothing. */
function addPrices(items, prices) {
    if (!Array.isArray(prices)) {
        return;
    }
    items.forEach((item) => {
        item.prices = prices.filter((price) => price.productId === item.productId);
    });
}

function copyFields(fields, from, to) {
    fields.forEach((field) => {
        if (from[field] !== undefined) {
            to[field] = from[field];
        }
    });
}

function answer(r, value, completed) {
    r.headersOut['Content-Type'] = 'application/json';
    r.headersOut['X-Completed'] = completed ? 'true' : 'false';
    r.return(200, JSON.stringify(value));
}

/* Answers what the part did; nginx makes a problem of a 200 that was no JSON. */
function passOn(r, reply) {
    if (reply.status < 400 || !reply.responseText) {
        r.return(reply.status < 400 ? 502 : reply.status);
        return;
    }
    PASSED_HEADERS.forEach((name) => {
        if (reply.headersOut[name] !== undefined) {
            r.headersOut[name] = reply.headersOut[name];
        }
    });
    r.return(reply.status, reply.responseText);
}

export default {profile, product, products};
