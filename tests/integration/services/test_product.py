"""The product service: entering, changing, archiving and finding products, with their events."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib.service import assert_problem

MAX_INT64 = 2**63 - 1


@pytest.fixture(scope="module", name="product")
def _product(start_service):
    return start_service("product")


@pytest.fixture(scope="module", name="admin")
def _admin(issuer):
    return issuer.admin()


@pytest.fixture(name="mark")
def _mark():
    """A word that occurs in the products of one test only."""
    return uuid.uuid4().hex


def create(product, admin, name, description=""):
    response = product.post("/manage/products", admin,
                            json={"name": name, "description": description})
    assert response.status_code == 200, response.text
    return response.json()["productId"]


def find(product, **criteria):
    response = product.post("/products/find-by-filter", json=criteria)
    assert response.status_code == 200, response.text
    return response.json()


def found_ids(product, **criteria):
    return [item["productId"] for item in find(product, **criteria)["items"]]


def row_count(product):
    return product.value("select count(*) from product")


class TestChanges:
    def test_create_is_readable_and_emits_its_full_state(self, product, admin):
        response = product.post("/manage/products", admin,
                                json={"name": "Чайник ☕", "description": "1,2 л"})
        assert response.status_code == 200, response.text
        answer = response.json()
        assert set(answer) == {"eventId", "productId"}
        product_id = answer["productId"]
        got = product.get(f"/products/{product_id}")
        assert got.status_code == 200
        assert got.json() == {"productId": product_id, "name": "Чайник ☕",
                              "description": "1,2 л", "archived": False}
        (event,) = product.emitted(aggregate_id=product_id)
        assert event["id"] == answer["eventId"]
        assert event["type"] == "product.changed"
        assert event["payload"] == {"productId": product_id, "name": "Чайник ☕",
                                    "description": "1,2 л", "archived": False, "version": 1}

    def test_event_carries_the_trace_of_the_request(self, product, admin):
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        response = product.post("/manage/products", admin, json={"name": "a", "description": ""},
                                headers={"traceparent": trace})
        (event,) = product.emitted(aggregate_id=response.json()["productId"])
        assert trace.split("-")[1] in event["headers"]["traceparent"]

    def test_change_replaces_the_texts_and_raises_the_version(self, product, admin):
        product_id = create(product, admin, "old", "older")
        response = product.request("PUT", f"/manage/products/{product_id}", admin,
                                   json={"name": "new", "description": ""})
        assert response.status_code == 200, response.text
        assert response.json()["productId"] == product_id
        assert product.get(f"/products/{product_id}").json()["name"] == "new"
        events = product.emitted(aggregate_id=product_id)
        assert [event["payload"]["version"] for event in events] == [1, 2]
        assert events[1]["id"] == response.json()["eventId"]
        assert events[1]["payload"]["description"] == ""

    def test_archive_keeps_the_product_readable_but_closed(self, product, admin):
        product_id = create(product, admin, "relic")
        response = product.post(f"/manage/products/{product_id}/archive", admin)
        assert response.status_code == 200, response.text
        assert response.json()["productId"] == product_id
        got = product.get(f"/products/{product_id}").json()
        assert (got["name"], got["archived"]) == ("relic", True)
        event = product.emitted(aggregate_id=product_id)[-1]
        assert event["type"] == "product.archived"
        assert event["id"] == response.json()["eventId"]
        assert (event["payload"]["archived"], event["payload"]["version"]) == (True, 2)
        again = product.post(f"/manage/products/{product_id}/archive", admin)
        assert_problem(again, 409, "product_archived")
        changed = product.request("PUT", f"/manage/products/{product_id}", admin,
                                  json={"name": "x", "description": ""})
        assert_problem(changed, 409, "product_archived")
        assert len(product.emitted(aggregate_id=product_id)) == 2

    def test_concurrent_changes_lose_none_and_keep_versions_in_emit_order(self, product, admin):
        product_id = create(product, admin, "busy")

        def change(number):
            return product.request("PUT", f"/manage/products/{product_id}", admin,
                                   json={"name": f"busy {number}", "description": ""}).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(change, range(40))) == {200}
        versions = [e["payload"]["version"] for e in product.emitted(aggregate_id=product_id)]
        assert versions == list(range(1, 42))

    def test_only_one_of_concurrent_archivings_wins(self, product, admin):
        product_id = create(product, admin, "once")
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(
                lambda _: product.post(f"/manage/products/{product_id}/archive",
                                       admin).status_code, range(8)))
        assert sorted(statuses) == [200] + [409] * 7
        assert len(product.emitted("product.archived", product_id)) == 1

    def test_idempotency_key_creates_once(self, product, admin, mark):
        body = {"name": mark, "description": ""}
        first, second = (product.post("/manage/products", admin, json=body,
                                      headers={"Idempotency-Key": mark}) for _ in range(2))
        assert first.status_code == 200, first.text
        assert second.json() == first.json()
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(found_ids(product, nameInfix=mark)) == 1
        other = product.post("/manage/products", admin, json={**body, "name": "other"},
                             headers={"Idempotency-Key": mark})
        assert_problem(other, 422, "idempotency_mismatch")

    def test_longest_texts_are_kept_whole(self, product, admin):
        name, description = "й" * 200, "🍵" * 4000
        product_id = create(product, admin, name, description)
        got = product.get(f"/products/{product_id}").json()
        assert (got["name"], got["description"]) == (name, description)

    @pytest.mark.parametrize(("body", "field"), [
        ({"description": ""}, "name"),
        ({"name": None, "description": ""}, "name"),
        ({"name": "", "description": ""}, "name"),
        ({"name": " \t\n", "description": ""}, "name"),
        ({"name": 1, "description": ""}, "name"),
        ({"name": ["a"], "description": ""}, "name"),
        ({"name": "a" * 201, "description": ""}, "name"),
        ({"name": "nul \0 inside", "description": ""}, None),
        ({"name": "a"}, "description"),
        ({"name": "a", "description": 0}, "description"),
        ({"name": "a", "description": "a" * 4001}, "description"),
    ])
    def test_bad_fields_write_nothing(self, product, admin, body, field):
        target = create(product, admin, "target")
        before = row_count(product), len(product.emitted())
        assert_problem(product.post("/manage/products", admin, json=body), 400, field=field)
        assert_problem(product.request("PUT", f"/manage/products/{target}", admin, json=body),
                       400, field=field)
        assert (row_count(product), len(product.emitted())) == before

    @pytest.mark.parametrize("body", [
        b"", b"{", b"[]", b"null", b'"text"', b"1", b'{"name": "a", "name": "b"}',
        b'{"name": "\xff", "description": ""}', b'{"name": "\\ud800", "description": ""}',
        b'{"name":' * 10000,
    ])
    def test_bad_json_writes_nothing(self, product, admin, body):
        before = row_count(product)
        assert_problem(product.post("/manage/products", admin, data=body), 400)
        assert row_count(product) == before

    def test_unknown_product(self, product, admin):
        for product_id in (999999999, MAX_INT64):
            assert_problem(product.get(f"/products/{product_id}"), 404, "not_found")
            changed = product.request("PUT", f"/manage/products/{product_id}", admin,
                                      json={"name": "x", "description": ""})
            assert_problem(changed, 404, "not_found")
            assert_problem(product.post(f"/manage/products/{product_id}/archive", admin),
                           404, "not_found")

    @pytest.mark.parametrize("bad", ["0", "-1", "1.5", "abc", str(2**63), "1e3", "%31x", "+1"])
    def test_bad_path_id(self, product, admin, bad):
        assert_problem(product.get(f"/products/{bad}"), 400, "bad_path_id")
        assert_problem(product.post(f"/manage/products/{bad}/archive", admin), 400, "bad_path_id")

    def test_only_an_admin_manages(self, product, issuer):
        before = row_count(product)
        body = {"name": "mine", "description": ""}
        for method, path in (("POST", "/manage/products"), ("PUT", "/manage/products/1"),
                             ("POST", "/manage/products/1/archive")):
            assert_problem(product.request(method, path, json=body), 401, "unauthorized")
            assert_problem(product.request(method, path, issuer.token(7), json=body),
                           403, "forbidden")
        assert row_count(product) == before

    def test_wrong_method(self, product, admin):
        response = product.request("DELETE", "/manage/products/1", admin)
        assert_problem(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == "PUT"


class TestSearch:
    def test_infix_is_found_whatever_its_case(self, product, admin, mark):
        first = create(product, admin, f"Crème BRÛLÉE {mark}")
        second = create(product, admin, f"Самовар {mark}", "Медный, 5 Литров")
        assert found_ids(product, nameInfix=f"brûlée {mark}".upper()) == [first]
        assert found_ids(product, nameInfix=f"САМОВАР {mark}") == [second]
        assert found_ids(product, nameInfix=mark, descriptionInfix="ЫЙ, 5 ЛИТ") == [second]
        assert found_ids(product, nameInfix=mark[3:20]) == [first, second]

    def test_composed_and_decomposed_letters_match(self, product, admin, mark):
        product_id = create(product, admin, f"Cafe\u0301 {mark}")
        assert found_ids(product, nameInfix=f"caf\u00e9 {mark}") == [product_id]
        assert found_ids(product, nameInfix=f"CAFE\u0301 {mark}") == [product_id]

    @pytest.mark.parametrize("literal", ["%", "_", "\\", "100%", "a_b", "\\%", "'", "''--", "[a]",
                                         "\\\\", "(", ".*"])
    def test_wildcards_are_literal(self, product, admin, mark, literal):
        wanted = create(product, admin, f"{mark} x{literal}y", f"{literal}")
        create(product, admin, f"{mark} xzzzy", "a b c 100 ab")
        assert found_ids(product, nameInfix=f"{mark} x{literal}y") == [wanted]
        assert found_ids(product, nameInfix=mark, descriptionInfix=literal) == [wanted]

    def test_criteria_must_all_match(self, product, admin, mark):
        ids = [create(product, admin, f"{mark} {n}", d) for n, d in
               (("one", "red"), ("two", "red"), ("one", "blue"))]
        assert found_ids(product, nameInfix=f"{mark} one", descriptionInfix="red") == ids[:1]
        assert found_ids(product, nameInfix=f"{mark} one", productId=[ids[2], ids[1]]) == ids[2:]
        assert found_ids(product, nameInfix=f"{mark} three") == []

    def test_empty_criteria_restrict_nothing(self, product, admin, mark):
        product_id = create(product, admin, mark)
        assert product_id in found_ids(product, nameInfix="", descriptionInfix="", productId=[],
                                       paging={"size": 100})
        empty_body = product.post("/products/find-by-filter")
        assert empty_body.status_code == 200
        assert empty_body.json()["page"]["count"] == find(product)["page"]["count"]
        assert find(product, nameInfix=None, paging=None)["page"]["pageSize"] == 20

    def test_archived_are_found_by_id_only(self, product, admin, mark):
        kept, gone = create(product, admin, mark), create(product, admin, mark)
        assert product.post(f"/manage/products/{gone}/archive", admin).status_code == 200
        assert found_ids(product, nameInfix=mark) == [kept]
        items = find(product, productId=[gone, kept])["items"]
        assert [(item["productId"], item["archived"]) for item in items] == [
            (kept, False), (gone, True)]

    def test_pages_add_up(self, product, admin, mark):
        ids = [create(product, admin, f"{mark} {number}") for number in range(7)]
        pages = [find(product, nameInfix=mark, paging={"page": page, "size": 3})
                 for page in range(4)]
        assert [[item["productId"] for item in page["items"]] for page in pages] == [
            ids[:3], ids[3:6], ids[6:], []]
        assert [page["page"] for page in pages] == [
            {"pageNumber": number, "pageSize": 3, "count": 7} for number in range(4)]

    @pytest.mark.parametrize(("body", "field"), [
        ({"nameInfix": 1}, "nameInfix"),
        ({"nameInfix": "a" * 201}, "nameInfix"),
        ({"descriptionInfix": {}}, "descriptionInfix"),
        ({"productId": 1}, "productId"),
        ({"productId": [0]}, "productId"),
        ({"productId": ["1"]}, "productId"),
        ({"productId": [1.0]}, "productId"),
        ({"productId": list(range(1, 102))}, "productId"),
        ({"paging": []}, "paging"),
        ({"paging": {"page": -1}}, "paging.page"),
        ({"paging": {"page": MAX_INT64}}, "paging.page"),
        ({"paging": {"size": 0}}, "paging.size"),
        ({"paging": {"size": 101}}, "paging.size"),
        ({"paging": {"size": "20"}}, "paging.size"),
    ])
    def test_bad_filter(self, product, body, field):
        assert_problem(product.post("/products/find-by-filter", json=body), 400, "bad_field", field)

    def test_search_uses_its_index(self, product):
        if not product.query("select 1 from pg_extension where extname = 'pg_trgm'"):
            pytest.skip("pg_trgm is not installed here")
        plan = product.query("set enable_seqscan = off; explain select 1 from product"
                             " where name_key like infix_pattern('teapot')")
        assert "product_name_key_idx" in str(plan)
