use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{
    rest::{Operation, Rest},
    server::json as answer,
};

const ITEMS: [(&str, &str, f64); 3] = [
    ("lamp", "Desk lamp", 39.5),
    ("desk", "Standing desk", 420.0),
    ("chair", "Oak chair", 129.0),
];

/// A service that is well.
#[derive(Default)]
pub(super) struct Inventory {
    orders: AtomicU64,
}

impl Rest for Inventory {
    const NAME: &'static str = "inventory";
    const DESCRIPTION: &'static str = "Items and orders";
    const OPERATIONS: &'static [Operation] = &[
        Operation {
            name: "getItem",
            method: "GET",
            path: "/items/:sku",
            description: "One item, by its sku",
        },
        Operation {
            name: "listItems",
            method: "GET",
            path: "/items",
            description: "All items",
        },
        Operation {
            name: "createOrder",
            method: "POST",
            path: "/orders",
            description: "Orders an item, by its sku",
        },
    ];

    fn perform(&self, operation: &str, parameters: &Value, _: &HeaderMap) -> Response<Full<Bytes>> {
        let item = |(sku, name, price)| json!({ "sku": sku, "name": name, "price": price });
        if operation == "listItems" {
            let items: Vec<_> = ITEMS.into_iter().map(item).collect();
            return answer(StatusCode::OK, &json!({ "items": items }));
        }
        let sku = parameters["sku"].as_str().unwrap_or_default();
        let Some(found) = ITEMS.into_iter().find(|item| item.0 == sku) else {
            let error =
                json!({ "error": "no item has this sku", "skus": ITEMS.map(|item| item.0) });
            return answer(StatusCode::NOT_FOUND, &error);
        };
        if operation == "getItem" {
            return answer(StatusCode::OK, &item(found));
        }
        let order = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
        answer(
            StatusCode::OK,
            &json!({ "order": order, "item": item(found) }),
        )
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{super::rest::tests::call, *};

    #[test]
    fn items_are_found_and_orders_counted() {
        let inventory = Inventory::default();
        let post = |operation, body| {
            let path = format!("/api/{operation}");
            call(&inventory, Method::POST, &path, None, body)
        };
        assert_eq!(post("getItem", r#"{"sku":"lamp"}"#).1["name"], "Desk lamp");
        assert_eq!(post("getItem", r#"{"sku":"boat"}"#).0, 404);
        assert_eq!(
            post("listItems", "{}").1["items"].as_array().unwrap().len(),
            3
        );
        assert_eq!(post("createOrder", r#"{"sku":"desk"}"#).1["order"], 1);
        assert_eq!(post("createOrder", r#"{"sku":"desk"}"#).1["order"], 2);
    }
}
